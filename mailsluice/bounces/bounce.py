"""A report that mail did not arrive, or was not wanted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BounceKind(StrEnum):
    """The meaning of a report for the address."""

    HARD = "hard"
    """The mailbox does not exist, and never will."""
    SOFT = "soft"
    """The mailbox cannot take mail now: it is full, or its server does not answer."""
    COMPLAINT = "complaint"
    """The owner of the mailbox reported the mail as spam."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A report about mail to an address."""

    key: str
    """The identity of the report: reports with the same key count once."""
    email: str
    """The address that the mail was sent to; the store folds it."""
    kind: BounceKind
    status: str
    """Enhanced status such as 5.1.1, or empty (RFC 3463)."""
    detail: str
    """The server's words."""
    source: str
    """The origin of the report: "smtp <connection>", or the mailbox that got it."""
    at: float
    """The moment of the report, in seconds since the epoch."""
    connection: str | None = None
    campaign_id: int | None = None
    recipient_id: int | None = None
