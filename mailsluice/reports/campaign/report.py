"""What happened to a campaign, as numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailsluice.assignment.warming import WarmUpDay
from mailsluice.core.masking import masked
from mailsluice.core.moves import Move, moved_away, moved_here
from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.limits import Bound
from mailsluice.reports.campaign.statistics import Statistics

OUTCOMES = (
    RecipientStatus.SENT,
    RecipientStatus.DEFERRED,
    RecipientStatus.FAILED,
    RecipientStatus.UNCERTAIN,
    RecipientStatus.PENDING,
    RecipientStatus.SENDING,
    RecipientStatus.SUPPRESSED,
    RecipientStatus.CANCELLED,
)
"""The states of a recipient, as they are shown."""
_ALWAYS = OUTCOMES[:3]


def named(status: RecipientStatus) -> str:
    """Name a state as pages do: a deferred recipient waits for another try, or another day."""
    return "still waiting" if status is RecipientStatus.DEFERRED else status.value


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One connection's part."""

    connection: str
    planned: int
    """Recipients assigned to it at launch."""
    by_status: Mapping[RecipientStatus, int]
    """Where its recipients stand now."""
    seconds: float = 0.0
    """How long this run sent over it."""
    sent_now: int = 0
    """Messages accepted in this run."""
    down: str | None = None
    """Why it was given up in this run."""

    @property
    def per_second(self) -> float | None:
        """Messages a second in this run; None where there were none."""
        return self.sent_now / self.seconds if self.sent_now and self.seconds else None

    def of(self, *statuses: RecipientStatus) -> int:
        """Recipients in one of these states."""
        return sum(self.by_status.get(one, 0) for one in statuses)

    @property
    def recipients(self) -> int:
        """Who is on it now, in whatever state."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True)
class Report:
    """The whole campaign, after a run or at any time."""

    campaign: str
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """Rows that are not in the audience, by reason."""
    routes: Sequence[RouteReport]
    held_back: Mapping[str, int] = field(default_factory=dict)
    """How many of the suppressed rows for which reason."""
    suppressed_since: Mapping[str, int] = field(default_factory=dict)
    """Why recipients were suppressed after the launch."""
    moves: Sequence[Move] = ()
    """Moves of recipients to another connection than the one that was planned, and why."""
    digest: str | None = None
    """Of the assignment; `plan-campaign` shows the same."""
    warm_ups: Sequence[WarmUpDay] = ()
    """What was planned for connections that warm up."""
    limits: Mapping[str, Sequence[Bound]] = field(default_factory=dict)
    """What each connection's messages fall under, as far as it is known."""
    archive: str = ""
    """Where its recipients are, once they are no more in the database; else empty."""
    statistics: Statistics | None = None
    """None where they were not counted."""

    def of(self, *statuses: RecipientStatus) -> int:
        """Recipients in one of these states."""
        return sum(route.of(*statuses) for route in self.routes)

    @property
    def shown(self) -> list[RecipientStatus]:
        """The states worth a column: the usual ones, and those somebody is in."""
        return [one for one in OUTCOMES if one in _ALWAYS or self.of(one)]

    @property
    def moved_away(self) -> Mapping[str, int]:
        """How many recipients each connection gave to others."""
        return moved_away(self.moves)

    @property
    def moved_here(self) -> Mapping[str, int]:
        """How many recipients each connection took over."""
        return moved_here(self.moves)

    @property
    def open(self) -> int:
        """Recipients that still wait for their mail."""
        return self.of(*OPEN)

    @property
    def sent_now(self) -> int:
        """Messages accepted in this run."""
        return sum(route.sent_now for route in self.routes)

    @property
    def down(self) -> dict[str, str]:
        """Connections that were given up in this run, and why; no addresses."""
        return {route.connection: masked(route.down) for route in self.routes if route.down}

    def summary(self) -> str:
        """One line: how many are in which state."""
        sent = f"{self.of(RecipientStatus.SENT):,} of {self.accepted:,} sent"
        others = (f"{self.of(one):,} {named(one)}" for one in OUTCOMES[1:] if self.of(one))
        return ", ".join([sent, *others])

    def planned_share(self, route: RouteReport) -> float:
        """Its part of all recipients, as decided at the launch."""
        return route.planned / self.accepted if self.accepted else 0.0

    def sent_share(self, route: RouteReport) -> float | None:
        """Its part of what was sent; None where nothing was."""
        sent = self.of(RecipientStatus.SENT)
        return route.of(RecipientStatus.SENT) / sent if sent else None
