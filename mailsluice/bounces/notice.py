"""What a mail that came to the mailbox says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.folding import folded

MAX_TEXT = 500
"""Characters that are kept of what a server said."""


class Sort(StrEnum):
    """What kind of mail it is."""

    RETURNED = "returned"
    """It says of recipients what became of their mail."""
    COMPLAINT = "complaint"
    """A reader has called it spam."""
    AUTO_REPLY = "auto-reply"
    """Out of office and the like (RFC 3834)."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reported:
    """What is said about one recipient."""

    addresses: tuple[str, ...]
    """In lower case: the one that failed, and the one that was written to, where that is told."""
    is_final: bool
    """Whether it will not be delivered any more. Else it is delayed, relayed or delivered."""
    status: str
    """Enhanced status code such as 5.1.1 (RFC 3463), or empty."""
    code: int | None
    """SMTP reply code, where it is told."""
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail, as far as it is understood."""

    sort: Sort
    reported: tuple[Reported, ...] = ()

    def about(self, email: str) -> Reported | None:
        """What it says about the mail to this address.

        The mail may have been passed on, so that others are named: then the first of them that
        failed, since each of our mails has one recipient.
        """
        named = (one for one in self.reported if folded(email) in map(folded, one.addresses))
        failed = (one for one in self.reported if one.is_final)
        return next(named, None) or next(failed, None) or next(iter(self.reported), None)


UNKNOWN = Notice(Sort.UNKNOWN)
AUTO_REPLY = Notice(Sort.AUTO_REPLY)
