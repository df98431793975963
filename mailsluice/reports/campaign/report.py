"""The numbers of a campaign's report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from mailsluice.assignment.warming import WarmUpDay
from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.core.masking import masked
from mailsluice.core.moves import Move, moved_away, moved_here
from mailsluice.core.source_counts import SourceCounts
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
"""The states of a recipient, in the order of the tables."""
_ALWAYS = OUTCOMES[:3]


def named(status: RecipientStatus) -> str:
    """The name of a state on pages: a deferred recipient waits for a retry or another day."""
    return "still waiting" if status is RecipientStatus.DEFERRED else status.value


@dataclass(frozen=True, slots=True)
class RouteReport:
    """The part of one connection."""

    connection: str
    planned: int
    """Recipients assigned to the connection at the launch."""
    by_status: Mapping[RecipientStatus, int]
    """The connection's present recipients by state."""
    seconds: float = 0.0
    """Seconds for which this run sent over the connection."""
    sent_now: int = 0
    """Messages accepted in this run."""
    down: str | None = None
    """The reason why this run gave the connection up; None when it did not."""
    share: Decimal | None = None
    """With the strategy `throughput`: the computed share, in percent; nobody is assigned then."""

    @property
    def title(self) -> str:
        """The connection's name, or words for the recipients that no connection has claimed."""
        return self.connection or "not claimed yet"

    @property
    def per_second(self) -> float | None:
        """Messages per second in this run; None when there were none."""
        return self.sent_now / self.seconds if self.sent_now and self.seconds else None

    def of(self, *statuses: RecipientStatus) -> int:
        """Recipients in one of these states."""
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def recipients(self) -> int:
        """Present recipients, in any state."""
        return sum(self.by_status.values())


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign's report, after a run or at any time."""

    campaign: str
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """Rows that are not in the audience, by reason."""
    routes: Sequence[RouteReport]
    held_back: Mapping[str, int] = field(default_factory=dict)
    """Rows suppressed at the launch, by the reason of their suppression."""
    suppressed_since: Mapping[str, int] = field(default_factory=dict)
    """Recipients suppressed after the launch, by the reason of their suppression."""
    sources: Sequence[SourceCounts] = ()
    """The rows of each source of the recipients, if there are several."""
    moves: Sequence[Move] = ()
    """Moves of recipients to another connection."""
    affinity: AffinityCounts | None = None
    """None for a campaign without affinity."""
    digest: str | None = None
    """The digest of the assignment; `plan-campaign` shows the same."""
    warm_ups: Sequence[WarmUpDay] = ()
    """The plan for connections in warm-up."""
    limits: Mapping[str, Sequence[Bound]] = field(default_factory=dict)
    """The limits of each connection, as far as known."""
    archive: str = ""
    """The place of an archived campaign's recipients; empty when it is not archived."""
    held: Sequence[str] = ()
    """The parts that wait for an operator's decision, a sentence for each."""
    finish_at: float | None = None
    """By when the campaign was to be finished, in seconds since the epoch; None: no time was set.
    """
    statistics: Statistics | None = None
    """None when nothing was counted."""

    @property
    def is_pooled(self) -> bool:
        """Whether connections claimed recipients, who were not assigned before."""
        return any(route.share is not None for route in self.routes)

    def of(self, *statuses: RecipientStatus) -> int:
        """Recipients in one of these states."""
        return sum(route.of(*statuses) for route in self.routes)

    @property
    def shown(self) -> list[RecipientStatus]:
        """The states that get a column: the usual ones, and those of at least one recipient."""
        return [status for status in OUTCOMES if status in _ALWAYS or self.of(status)]

    @property
    def moved_away(self) -> Mapping[str, int]:
        """Recipients that each connection gave to others."""
        return moved_away(self.moves)

    @property
    def moved_here(self) -> Mapping[str, int]:
        """Recipients that each connection took over."""
        return moved_here(self.moves)

    @property
    def open(self) -> int:
        """Recipients whose mail is not settled yet."""
        return self.of(*OPEN)

    @property
    def sent_now(self) -> int:
        """Messages accepted in this run."""
        return sum(route.sent_now for route in self.routes)

    @property
    def per_second(self) -> float | None:
        """Messages per second in this run, over all connections; None when there were none."""
        return sum(route.per_second or 0.0 for route in self.routes) or None

    @property
    def down(self) -> dict[str, str]:
        """The reason why this run gave a connection up, by connection; without addresses."""
        return {route.connection: masked(route.down) for route in self.routes if route.down}

    def summary(self) -> str:
        """One line: the numbers of recipients by state."""
        sent = f"{self.of(RecipientStatus.SENT):,} of {self.accepted:,} sent"
        others = (
            f"{self.of(status):,} {named(status)}" for status in OUTCOMES[1:] if self.of(status)
        )
        return ", ".join([sent, *others])

    def planned_share(self, route: RouteReport) -> float:
        """The route's part of all recipients, as decided or computed at the launch."""
        if route.share is not None:
            return float(route.share / 100)
        return route.planned / self.accepted if self.accepted else 0.0

    def sent_share(self, route: RouteReport) -> float | None:
        """The route's part of all sent mail; None when nothing was sent."""
        sent = self.of(RecipientStatus.SENT)
        return route.of(RecipientStatus.SENT) / sent if sent else None
