"""The counted mail of some campaigns, the input of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd


class Measure(StrEnum):
    """An outcome of a recipient's mail, and a column of the counts."""

    ACCEPTED = "accepted"
    """The server accepted the mail, at any attempt."""
    DEFERRED = "deferred"
    """The server deferred the first attempt, whatever came later."""
    FAILED = "failed"
    """The server refused the mail for good, or the attempts are used up."""
    BOUNCED = "bounced"
    """A hard bounce is recorded, from the SMTP dialogue, a mailbox, or an event."""
    DELIVERED = "delivered"
    """The recipient's server accepted the mail, as the provider reports."""
    UNDELIVERED = "undelivered"
    """A server refused the mail, at once or later, or the provider dropped it."""
    BLOCKED = "blocked"
    """The recipient's server refused sender, content or policy, as the provider reports."""
    COMPLAINED = "complained"
    """The recipient reported the mail as spam, as the provider reports."""

    @property
    def is_tested(self) -> bool:
        """Whether connections are tested in this measure.

        Accepted mail is the mail that neither failed nor waits, and delivered mail the one that is
        not undelivered, so a test would repeat another.
        """
        return self not in (Measure.ACCEPTED, Measure.DELIVERED)

    @property
    def of(self) -> str:
        """The column that counts the mail which may have this outcome."""
        return KNOWN if self in _BY_EVENTS else MAIL

    @property
    def source(self) -> str:
        """Where the outcome is known from."""
        if self is Measure.BOUNCED:
            return "replies, returned mail, events"
        return "events" if self in _BY_EVENTS else "replies"


_BY_EVENTS = (Measure.DELIVERED, Measure.UNDELIVERED, Measure.BLOCKED, Measure.COMPLAINED)
KEYS = ["campaign", "provider", "connection"]
"""A provider is the mailbox provider of recipients, or their domain where that is not known."""
MAIL, KNOWN = "mail", "known"
NUMBERS = [MAIL, KNOWN, *(measure.value for measure in Measure)]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The counted mail of some campaigns, without addresses."""

    counts: pd.DataFrame
    """A row for each campaign, provider and connection (KEYS). `mail` counts the attempted
    recipients and the columns of Measure their outcomes. `known` counts the recipients whose mail
    has arrived or not, for sure, where the provider reports deliveries; elsewhere 0. Recipients
    that are left out are counted in `moved` (to the connection from another one) and `uncertain`.
    Columns of outcomes that nobody has counted may be missing."""
    unfinished: Sequence[str] = ()
    """Campaigns that still have mail to send."""
    warming: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By campaign: connections that sent a part of it later because they warmed up."""
    kept: Mapping[str, int] = field(default_factory=dict)
    """By campaign with affinity: recipients that kept the connection of earlier campaigns."""
    delays: pd.DataFrame | None = None
    """Seconds from the acceptance by the provider to the delivery: a row for each campaign,
    provider, connection, `seconds` and `delivered`, with `number` of messages. For mail that is not
    delivered they are the seconds until it bounced, or until now."""
    unknown: Mapping[str, float] = field(default_factory=dict)
    """By connection whose provider reports deliveries: the part of its mail that is not known."""

    @property
    def reporting(self) -> frozenset[str]:
        """The connections whose providers report deliveries."""
        return frozenset(self.unknown)
