"""The numbers of a campaign while it is sent. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from mailsluice.core.moves import Move
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.progress.binding import Binding
from mailsluice.reports.progress.finish import Finish

_ENDED = (RecipientStatus.SUPPRESSED, RecipientStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of recipients."""

    assigned: int = 0
    """Present recipients, in any state."""
    sent: int = 0
    failed: int = 0
    uncertain: int = 0
    ended: int = 0
    """Suppressed or cancelled."""
    deferrals: int = 0
    """Attempts deferred in this run, perhaps several of one recipient."""

    @classmethod
    def of(cls, counts: Mapping[RecipientStatus, int]) -> Self:
        """The tally of the counts in the state database."""
        return cls(
            sum(counts.values()),
            counts.get(RecipientStatus.SENT, 0),
            counts.get(RecipientStatus.FAILED, 0),
            counts.get(RecipientStatus.UNCERTAIN, 0),
            sum(counts.get(status, 0) for status in _ENDED),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.assigned + other.assigned,
            self.sent + other.sent,
            self.failed + other.failed,
            self.uncertain + other.uncertain,
            self.ended + other.ended,
            self.deferrals + other.deferrals,
        )

    @property
    def left(self) -> int:
        """Recipients that still wait."""
        return max(0, self.assigned - self._settled)

    @property
    def is_too_high(self) -> bool:
        """Whether more recipients are counted than there are, some of them twice."""
        return self._settled > self.assigned

    @property
    def _settled(self) -> int:
        return self.sent + self.failed + self.uncertain + self.ended

    @property
    def percent(self) -> float:
        """The percentage sent, cut to one decimal, so that 100 means all recipients."""
        return math.floor(1_000 * self.sent / self.assigned) / 10 if self.assigned else 100.0


@dataclass(frozen=True, slots=True)
class Standing:
    """The progress of one connection at one moment."""

    connection: str
    tally: Tally
    binding: Binding
    waiting: tuple[int, ...] = ()
    """The numbers of the mailbox providers whose mail waits."""
    sessions: int = 0
    """Sessions that are logged in."""
    in_flight: int = 0
    """Messages that have been started and have no reply yet."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a campaign at one moment, with its connections in their order."""

    campaign: str
    standings: tuple[Standing, ...]
    moves: tuple[Move, ...] = ()
    """Moves of recipients to another connection."""
    finish: Finish | None = None
    """Whether the campaign will be finished in time; None where it has no finish time."""
    pool: Tally = field(default_factory=Tally)
    """Recipients that no connection has claimed yet, with the strategy `throughput`. The
    connections' tallies then count as assigned what they have claimed."""

    @property
    def tally(self) -> Tally:
        """The sum over all connections, and the pool."""
        return sum((standing.tally for standing in self.standings), self.pool)
