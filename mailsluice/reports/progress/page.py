"""The text beside a progress bar, and lines of progress for a log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.markdown import cell
from mailsluice.core.moves import together
from mailsluice.core.timezones import shown
from mailsluice.mailbox_providers import title_of
from mailsluice.reports.progress.binding import TROUBLES, Cause
from mailsluice.reports.progress.pace import end
from mailsluice.reports.progress.standing import Progress, Standing, Tally
from mailsluice.reports.providers.counts import ProviderCounts, ProviderTally
from mailsluice.reports.zones.counts import ZoneCounts

LOG_SECONDS = 30.0
"""The least seconds between two lines of progress in a run's log."""
_MOST_IN_A_LINE = 6
_NOT_FRESH = (
    "Prefect's default UI does not refresh this page: reload it, or follow the run's logs, which"
    " get a line whenever this page is updated."
)


@dataclass(frozen=True, slots=True)
class Page:
    """The progress at one aware moment, as text."""

    progress: Progress
    rates: dict[str, float | None]
    """Recent messages per second, by connection; None when unknown."""
    moment: datetime
    window: SendingWindow
    providers: ProviderCounts = field(default_factory=ProviderCounts)
    """What was sent to each mailbox provider, as counted lately."""
    zones: Sequence[ZoneCounts] = ()
    """The recipients of each time zone, as counted lately, where the window applies in them."""
    is_over: bool = False
    """Whether the run has ended, so that no end is estimated."""

    def connection(self, standing: Standing) -> str:
        """The condition that one connection waits for, and its numbers."""
        rate = self.rates.get(standing.connection)
        numbers = self._numbers(standing.tally, rate, self._end_words([standing]))
        binding = standing.binding
        if binding.cause in TROUBLES:
            binding = replace(binding, detail=cell(binding.detail))
        binds = binding.sentence(self.moment, self.window.timezone or "UTC")
        return f"**{binds}**: {numbers}"

    def campaign(self) -> str:
        """The totals, a paragraph for each connection, and moves between connections.

        Not a table: the UI shows a description's table without space between its columns.
        """
        lines = [self._total()]
        standings = self.progress.standings
        lines += [
            f"{cell(standing.connection)}, {self.connection(standing)}" for standing in standings
        ]
        if waiting := self.progress.pool.left:
            lines.append(f"{waiting:,} recipients wait for any connection")
        lines += self._by_provider()
        lines += [f"{cell(move.sentence())}." for move in together(self.progress.moves)]
        lines += [] if self.is_over else [_NOT_FRESH]
        return "\n\n".join(lines)

    def _by_provider(self) -> list[str]:
        """A paragraph about the largest mailbox providers, if there are several."""
        names = self.providers.providers
        parts = [_sent(name, self.providers.of(name)) for name in names[:_MOST_IN_A_LINE]]
        if rest := names[_MOST_IN_A_LINE:]:
            parts.append(_sent(None, sum(map(self.providers.of, rest), ProviderTally())))
        return [f"By mailbox provider, counted lately: {'; '.join(parts)}"] if names[1:] else []

    def line(self) -> str:
        """The same in one line of plain text for a log: the totals, then the connections."""
        standings = self.progress.standings
        first, rest = standings[:_MOST_IN_A_LINE], standings[_MOST_IN_A_LINE:]
        parts = [self._total(), *(self._brief(standing) for standing in first)]
        parts += [f"{len(rest)} more connections"] if rest else []
        if moved := sum(move.recipients for move in self.progress.moves):
            parts.append(f"{moved:,} moved to another connection")
        return " ".join("; ".join(parts).split())

    def _brief(self, standing: Standing) -> str:
        tally = standing.tally
        binds = standing.binding.sentence(self.moment, self.window.timezone or "UTC")
        return f"{standing.connection} {tally.sent:,} of {tally.assigned:,}, {binds}"

    def _total(self) -> str:
        if self.progress.pool.left and not self.is_over:
            words = self._done_about(self.end)
        else:
            words = self._end_words(self._waiting)
        return self._numbers(self.progress.tally, self.per_second, words)

    @property
    def per_second(self) -> float | None:
        """Recent messages per second over all connections; None when unknown."""
        known = [self.rates.get(standing.connection) for standing in self.progress.standings]
        return None if None in known else sum(rate or 0.0 for rate in known)

    @property
    def end(self) -> datetime | None:
        """When the campaign will be done at this pace; None when unknown."""
        if self.progress.pool.left and not self.is_over:
            return end(self.progress.tally.left, self.per_second, self.moment, self.window)
        return _last([self._end(standing) for standing in self._waiting])

    @property
    def _waiting(self) -> list[Standing]:
        return [standing for standing in self.progress.standings if standing.tally.left]

    def _numbers(self, tally: Tally, rate: float | None, end: str) -> str:
        others = {
            "failed": tally.failed,
            "uncertain": tally.uncertain,
            "suppressed or cancelled": tally.ended,
            "left": tally.left,
        }
        parts = [f"{tally.sent:,} of {tally.assigned:,} sent"]
        parts += [f"{number:,} {name}" for name, number in others.items() if number]
        if tally.deferrals:
            parts.append(
                f"{tally.deferrals:,} {'deferral' if tally.deferrals == 1 else 'deferrals'}"
            )
        parts += [f"{rate:,.1f} a second"] if rate else []
        parts += [end] if tally.left and end else []
        return ", ".join(parts)

    def _end_words(self, standings: Sequence[Standing]) -> str:
        """When these connections, one or all that have recipients left, will be done."""
        finish, zone = self.progress.finish, self.window.timezone or "UTC"
        if finish and not self.is_over:
            name = standings[0].connection if len(standings) == 1 else None
            return finish.words(self.moment, zone, name)
        causes = [standing.binding.cause for standing in self.progress.standings]
        last = _last([self._end(standing) for standing in standings])
        return "" if Cause.CANARY in causes else self._done_about(last)

    def _done_about(self, last: datetime | None) -> str:
        zone = self.window.timezone or "UTC"
        return f"done about {shown(last, self.moment, zone)} at this pace" if last else ""

    def _end(self, standing: Standing) -> datetime | None:
        is_unknown = self.is_over or self.progress.pool.left  # it may claim more
        rate = None if is_unknown else self.rates.get(standing.connection)
        zones = {
            counts.zone: left
            for counts in self.zones
            if (left := counts.left.get(standing.connection))
        }
        return end(standing.tally.left, rate, self.moment, self.window, zones)


def _sent(provider: str | None, tally: ProviderTally) -> str:
    title = "smaller providers" if provider is None else cell(title_of(provider))
    refused = f", {tally.refused:,} failed" if tally.refused else ""
    return f"{title} {tally.accepted:,} of {tally.recipients:,} sent{refused}"


def _last(ends: list[datetime | None]) -> datetime | None:
    """The latest of these moments; None when one of them is unknown."""
    known = [moment for moment in ends if moment]
    return max(known) if known and len(known) == len(ends) else None
