"""The content of a mail that came to the mailbox. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.folding import folded

MAX_TEXT = 500
"""Characters that are kept of a server's words."""


class Sort(StrEnum):
    """The sort of a mail."""

    RETURNED = "returned"
    """The mail tells whether recipients' mail was delivered."""
    COMPLAINT = "complaint"
    """A reader reported the mail as spam."""
    AUTO_REPLY = "auto-reply"
    """Out of office and the like (RFC 3834)."""
    UNSUBSCRIBE = "unsubscribe"
    """The recipient wants no more mail, as the address shows that the mail was written to."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reported:
    """A mail's statement about a recipient."""

    addresses: tuple[str, ...]
    """The address that failed, and the original address if it is given; in lower case."""
    is_final: bool
    """Whether delivery has failed. Otherwise the mail is delayed, relayed or delivered."""
    status: str
    """Enhanced status code such as 5.1.1 (RFC 3463), or empty."""
    code: int | None
    """SMTP reply code, if it is given."""
    text: str
    is_only_for_named: bool = False
    """Whether the statement is about these addresses alone, and not about a mail that was forwarded
    to one of them: an automatic reply may name any address."""


@dataclass(frozen=True, slots=True)
class Notice:
    """The meaning of a mail, as far as it is understood."""

    sort: Sort
    reported: tuple[Reported, ...] = ()

    def about(self, email: str) -> Reported | None:
        """Return the statement about the mail to this address.

        If the mail was forwarded, other addresses are named. Then the first that failed counts,
        since each of our mails has only one recipient.
        """
        named = (
            statement
            for statement in self.reported
            if folded(email) in map(folded, statement.addresses)
        )
        others = [statement for statement in self.reported if not statement.is_only_for_named]
        failed = (statement for statement in others if statement.is_final)
        return next(named, None) or next(failed, None) or next(iter(others), None)


UNKNOWN = Notice(Sort.UNKNOWN)
AUTO_REPLY = Notice(Sort.AUTO_REPLY)
UNSUBSCRIBE = Notice(Sort.UNSUBSCRIBE)
