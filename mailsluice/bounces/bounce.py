"""One report that mail did not arrive, or was not wanted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BounceKind(StrEnum):
    """What a report says about the address."""

    HARD = "hard"
    """There is no such mailbox, and there will be none."""
    SOFT = "soft"
    """Not this time: the mailbox is full, its server does not answer."""
    COMPLAINT = "complaint"
    """Its owner reported the mail as spam."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report about mail to one address."""

    key: str
    """Of the report: the same one counts once."""
    email: str
    """As the mail was sent to it; the store folds it."""
    kind: BounceKind
    status: str
    """Enhanced status such as 5.1.1, or empty (RFC 3463)."""
    detail: str
    """What the server said."""
    source: str
    """Who says so: "smtp <connection>", or the mailbox that the report came to."""
    at: float
    """When, in seconds since the epoch."""
    connection: str | None = None
    campaign_id: int | None = None
    recipient_id: int | None = None
