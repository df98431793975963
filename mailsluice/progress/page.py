"""The words beside a progress bar. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mailsluice.markdown import cell
from mailsluice.moves import together
from mailsluice.progress.binding import TROUBLES
from mailsluice.progress.pace import end
from mailsluice.progress.standing import Progress, Standing, Tally
from mailsluice.sending_window import SendingWindow
from mailsluice.timezones import shown


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown at one (aware) moment."""

    progress: Progress
    rates: dict[str, float | None]
    """Messages a second lately, by connection; None where it is not known."""
    moment: datetime
    window: SendingWindow
    is_over: bool = False
    """Whether the run has ended: then there is no end to wait for."""

    def connection(self, standing: Standing) -> str:
        """What one connection waits for, and its numbers."""
        rate = self.rates.get(standing.connection)
        numbers = self._numbers(standing.tally, rate, [self._end(standing)])
        binding = standing.binding
        if binding.cause in TROUBLES:
            binding = replace(binding, detail=cell(binding.detail))
        binds = binding.sentence(self.moment, self.window.timezone or "UTC")
        return f"**{binds}**: {numbers}"

    def campaign(self) -> str:
        """All numbers together, a paragraph a connection, and what moved between them.

        No table: the UI shows one in a description without any space between its columns.
        """
        standings = self.progress.standings
        known = [self.rates.get(one.connection) for one in standings]
        rate = None if None in known else sum(one or 0.0 for one in known)
        ends = [self._end(one) for one in standings if one.tally.left]
        lines = [self._numbers(self.progress.tally, rate, ends)]
        lines += [f"{cell(one.connection)}, {self.connection(one)}" for one in standings]
        lines += [f"{cell(one.sentence())}." for one in together(self.progress.moves)]
        return "\n\n".join(lines)

    def _numbers(self, tally: Tally, rate: float | None, ends: list[datetime | None]) -> str:
        others = {
            "failed": tally.failed,
            "uncertain": tally.uncertain,
            "suppressed or cancelled": tally.ended,
            "left": tally.left,
        }
        parts = [f"{tally.sent:,} of {tally.assigned:,} sent"]
        parts += [f"{number:,} {name}" for name, number in others.items() if number]
        parts += [f"{tally.deferrals:,} times told to come later"] if tally.deferrals else []
        parts += [f"{rate:,.1f} a second"] if rate else []
        if tally.left and (last := _last(ends)):
            parts.append(f"done about {self._shown(last)} at this pace")
        return ", ".join(parts)

    def _end(self, standing: Standing) -> datetime | None:
        rate = None if self.is_over else self.rates.get(standing.connection)
        return end(standing.tally.left, rate, self.moment, self.window)

    def _shown(self, moment: datetime) -> str:
        return shown(moment, self.moment, self.window.timezone or "UTC")


def _last(ends: list[datetime | None]) -> datetime | None:
    """None where one of them is not known."""
    known = [one for one in ends if one]
    return max(known) if known and len(known) == len(ends) else None
