"""The result of a run that asked providers, as numbers and as a page, without addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailsluice.core.markdown import cell, section, table
from mailsluice.events.pulled.windows import Window
from mailsluice.store.deliveries import Recorded


@dataclass
class ConnectionEvents:
    """The events of one connection; the counts grow while they are fetched."""

    connection: str
    provider: str
    pages: int = 0
    window: Window | None = None
    """The time that was asked for, if the provider is asked for one."""
    recorded: Recorded = field(default_factory=Recorded)
    unused: Counter[str] = field(default_factory=Counter)
    """Events that were left out, by reason."""
    gap: Window | None = None
    """The time whose events the provider may have deleted before they were fetched."""
    is_done: bool = False
    """Whether all events up to now are fetched; otherwise the next run goes on."""
    is_elsewhere: bool = False
    """Whether another run fetches the events now."""
    trouble: str | None = None
    """The reason for which fetching stopped early, if it did."""

    @property
    def new(self) -> int:
        """Events that were not known before."""
        return self.recorded.states.total() + self.recorded.unmatched.total()

    @property
    def is_waiting(self) -> bool:
        """Whether the run has stopped in order, and the next one goes on."""
        return not (self.is_done or self.is_elsewhere or self.trouble)

    @property
    def fetched(self) -> int:
        """All events that the provider has listed."""
        return self.new + self.recorded.known + self.unused.total()

    def counts(self) -> str:
        """Return the counts in a line."""
        parts = [
            f"{self.fetched:,} fetched, {self.new:,} new, {self.recorded.known:,} known before"
        ]
        left_out = self.recorded.unmatched + self.unused
        parts += [f"{number:,} {reason}" for reason, number in sorted(left_out.items())]
        return ", ".join(parts)

    @property
    def gap_warning(self) -> str | None:
        """Warn about the gap, if there is one."""
        if self.gap is None:
            return None
        return (
            f"events of {self.connection} from {_time(self.gap.since)} to"
            f" {_time(self.gap.until)} may be missing: they were not fetched before"
            f" {self.provider} deletes events"
        )


@dataclass
class CollectedEvents:
    """The events of all connections that were asked about."""

    connections: list[ConnectionEvents] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    """Blocks that cannot be used, and why."""

    @property
    def is_troubled(self) -> bool:
        """Whether some connection could not be asked."""
        return bool(self.unusable) or any(one.trouble for one in self.connections)

    @property
    def gaps(self) -> int:
        """Connections some of whose events may be missing."""
        return sum(one.gap is not None for one in self.connections)

    @property
    def campaign_ids(self) -> set[int]:
        """The campaigns whose deliveries changed."""
        return {number for one in self.connections for number in one.recorded.campaign_ids}

    def summary(self) -> str:
        """Summarise the run in a line."""
        if not self.connections and not self.unusable:
            return "no connection has an events API: fill it in under Blocks"
        new = sum(one.new for one in self.connections)
        known = sum(one.recorded.known for one in self.connections)
        suppressed = sum(one.recorded.suppressed for one in self.connections)
        parts = [f"{new:,} new of {sum(one.fetched for one in self.connections):,} fetched"]
        parts += [f"{known:,} known before"] if known else []
        parts += [f"{suppressed:,} newly suppressed"] if suppressed else []
        parts += [f"{self.gaps} with a gap"] if self.gaps else []
        elsewhere = sum(one.is_elsewhere for one in self.connections)
        parts += [f"{elsewhere} fetched by another run"] if elsewhere else []
        waiting = sum(one.is_waiting for one in self.connections)
        parts += [f"{waiting} left for the next run"] if waiting else []
        return "; ".join(parts)

    def troubles(self) -> list[str]:
        """Return what went wrong, a line for each connection."""
        troubled = (f"{one.connection}: {one.trouble}" for one in self.connections if one.trouble)
        return [*self.unusable, *troubled]

    def markdown(self) -> str:
        """Return the page that an operator reads."""
        head = [
            "Connection", "Provider", "From", "Until", "Fetched", "New", "Known before",
            "Not matched", "Left out",
        ]  # fmt: skip
        rows = [_row(one) for one in self.connections]
        unmatched = [
            [cell(one.connection), cell(reason), f"{number:,}"]
            for one in self.connections
            for reason, number in sorted((one.recorded.unmatched + one.unused).items())
        ]
        gaps = [f"- {cell(one.gap_warning)}" for one in self.connections if one.gap_warning]
        return "\n".join(
            [
                "# Events of providers",
                "",
                f"{self.summary()}.",
                "",
                *section("Stopped early", [f"- {cell(text)}" for text in self.troubles()]),
                *section("Gaps", gaps),
                *section("By connection", table(head, rows, 4) if rows else []),
                *section(
                    "Not matched, and left out",
                    table(["Connection", "Reason", "Count"], unmatched, 2) if unmatched else [],
                ),
            ]
        )


def _row(one: ConnectionEvents) -> Sequence[str]:
    window = one.window
    counts = (
        one.fetched,
        one.new,
        one.recorded.known,
        one.recorded.unmatched.total(),
        one.unused.total(),
    )
    return [
        cell(one.connection),
        cell(one.provider),
        _time(window.since) if window else "",
        _time(window.until) if window else "",
        *(f"{number:,}" for number in counts),
    ]


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
