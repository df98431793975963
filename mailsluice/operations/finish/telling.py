"""Tell the log when a campaign will not be finished in time."""

from __future__ import annotations

import logging
from datetime import datetime

from mailsluice.core.timezones import shown
from mailsluice.reports.progress import Finish

logger = logging.getLogger(__name__)


class FinishTeller:
    """Writes a line when a campaign becomes late, when it is in time again, and at its end."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._is_late = self._has_passed = False

    def tell(self, finish: Finish, moment: datetime, left: int) -> None:
        """Tell what is new at a moment at which so many recipients are left."""
        if not left:
            return
        by = shown(finish.by, moment, self._timezone)
        if moment >= finish.by:
            if not self._has_passed:
                self._has_passed = True
                logger.warning(
                    "the campaign was to be finished by %s, which has passed: what is left (%d)"
                    " goes as fast as the limits allow",
                    by,
                    left,
                )
        elif bool(finish.late) != self._is_late:
            self._is_late = not self._is_late
            if self._is_late:
                ends = "; ".join(self._late(finish, moment))
                logger.warning("the campaign will not be finished by %s: %s", by, ends)
            else:
                logger.info("the campaign will be finished by %s after all", by)

    def _late(self, finish: Finish, moment: datetime) -> list[str]:
        """Say which connections are late, and when they will be done."""
        return [
            f"{name} is expected at {shown(end, moment, self._timezone)}"
            if end
            else f"{name} takes years"
            for name, end in finish.late.items()
        ]
