"""A campaign in numbers, as counted in its tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.core.status import CampaignStatus


@dataclass(frozen=True, slots=True)
class StateTally:
    """The recipients of one connection in one state."""

    connection: str
    status: str
    """As stored, even when no such state exists."""
    recipients: int
    with_code: int
    """Recipients whose row has a reply code."""
    with_next_attempt: int
    """Recipients whose row has the time of a next attempt."""
    reassigned: int
    """Recipients that were moved to this connection."""


@dataclass(frozen=True, slots=True)
class DeliveryTally:
    """The deliveries of one connection in one state, as events of its provider report them."""

    connection: str
    state: str
    """As stored, even when no such state exists."""
    deliveries: int
    strays: int = 0
    """Deliveries of recipients that this connection has not sent to."""
    without_event: int = 0
    """Deliveries without the time of an event that reports their state."""


@dataclass(frozen=True, slots=True)
class SourceTally:
    """The recipients from one of several sources."""

    source: str
    accepted: int
    """As counted at the launch."""
    stored: int


@dataclass(frozen=True, slots=True)
class Tallies:
    """A campaign in numbers, without addresses."""

    campaign: str
    status: CampaignStatus
    is_held: bool
    """Whether a run holds the lease."""
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """By reason, as counted at the launch."""
    stored_rejects: Mapping[str, int]
    """By reason, as stored."""
    assigned: Mapping[str, int]
    """Recipients given to each connection at the launch."""
    moved: Mapping[tuple[str, str], int]
    """Recipients that were reassigned, by (first connection, present connection)."""
    states: tuple[StateTally, ...]
    unexplained_sent: int
    """Recipients that are `sent` without a reply code and without an attempt that explains it."""
    repeated: int | None
    """Recipients beyond the first of each address; None when not counted."""
    stray_attempts: int
    """Attempts of recipients that do not exist, of any campaign."""
    sources: tuple[SourceTally, ...] = ()
    """By source, if there are several, and they are counted."""
    deliveries: tuple[DeliveryTally, ...] = ()
    contradicted: int = 0
    """Recipients with an event that their delivery does not take into account."""
    is_pooled: bool = False
    """Whether connections claimed recipients that were not assigned before."""

    @property
    def stored(self) -> int:
        """Recipients stored, in whatever state."""
        return sum(tally.recipients for tally in self.states)

    def by_status(self) -> dict[str, int]:
        """Recipients by state."""
        totals: Counter[str] = Counter()
        for tally in self.states:
            totals[tally.status] += tally.recipients
        return dict(totals)

    def of(self, *statuses: str) -> int:
        """Recipients in one of these states."""
        return sum(tally.recipients for tally in self.states if tally.status in statuses)

    def by_connection(self) -> dict[str, int]:
        """Recipients by their present connection."""
        totals: Counter[str] = Counter()
        for tally in self.states:
            totals[tally.connection] += tally.recipients
        return dict(totals)
