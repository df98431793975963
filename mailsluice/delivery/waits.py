"""The mailbox providers whose mail waits while that to others goes on."""

from __future__ import annotations

import math
from typing import NamedTuple

from mailsluice.limits import Bound, Cap, Hold
from mailsluice.mailbox_providers import title_of


class Wait(NamedTuple):
    """A mailbox provider whose mail waits, with the reason."""

    provider: str
    hold: Hold | None
    """The limit; None: the server has asked for less mail, or the mail has been stopped."""
    until: float
    """Until when; infinity: until somebody decides."""

    def __str__(self) -> str:
        return f"{title_of(self.provider)}, {self._reason}"

    @property
    def _reason(self) -> str:
        if self.hold is None:
            return "stopped" if self.until == math.inf else "its server asks for less mail"
        if isinstance(self.hold.rule, Cap):
            return f"{self.hold.rule.count:,} a day, warm-up"
        is_campaigns = self.hold.key.startswith("campaign ")
        return str(Bound(self.hold.rule, "the campaign's" if is_campaigns else "the connection's"))
