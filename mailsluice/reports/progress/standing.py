"""Where the recipients of a campaign stand while it is sent. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mailsluice.core.moves import Move
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.progress.binding import Binding

_ENDED = (RecipientStatus.SUPPRESSED, RecipientStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Tally:
    """Recipients, counted."""

    assigned: int = 0
    """All that are on the connection now, in whatever state."""
    sent: int = 0
    failed: int = 0
    uncertain: int = 0
    ended: int = 0
    """Suppressed or cancelled."""
    deferrals: int = 0
    """How often a server said "later" in this run; not how many recipients."""

    @classmethod
    def of(cls, counts: Mapping[RecipientStatus, int]) -> Self:
        """By what the state database says."""
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
        """Who still waits."""
        return max(0, self.assigned - self.sent - self.failed - self.uncertain - self.ended)

    @property
    def percent(self) -> float:
        """Sent of assigned, to one decimal, never rounded up: 100 is all of them."""
        return math.floor(1_000 * self.sent / self.assigned) / 10 if self.assigned else 100.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One connection of a campaign at one moment."""

    connection: str
    tally: Tally
    binding: Binding


@dataclass(frozen=True, slots=True)
class Progress:
    """A campaign at one moment, its connections in the order of the campaign."""

    campaign: str
    standings: tuple[Standing, ...]
    moves: tuple[Move, ...] = ()
    """Moves of recipients to another connection than the one that was planned."""

    @property
    def tally(self) -> Tally:
        """Of all connections together."""
        return sum((standing.tally for standing in self.standings), Tally())
