"""The result of a seed test, as numbers and as a page. Pure, but for the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import cell, table
from mailsluice.core.masking import masked
from mailsluice.operations.probes.result import seconds_text
from mailsluice.operations.seed_test.trend import DAYS, Fall, Point, Trends, below, falls
from mailsluice.operations.send_test.result import SendTestResult

_HEAD = ["connection", "in the inbox", "spam", "missing", "copies", "median delay", "test before"]


@dataclass(frozen=True, slots=True)
class SeedTestResult:
    """A seed test, with the tests before it."""

    test: SendTestResult
    trends: Trends
    """The tests of its connections, this one the last."""
    least_percent: float
    """The share of copies in the inbox that a connection should reach."""

    @property
    def connections(self) -> list[str]:
        """The connections of the test, in the campaign's order."""
        return [delivery.connection for delivery in self.test.deliveries]

    @property
    def is_good(self) -> bool:
        """Whether all copies were accepted and looked for, and enough are in the inbox."""
        return self.test.is_accepted and not self._is_unread and not self.below

    @property
    def below(self) -> list[str]:
        """The connections with less in the inbox than they should have."""
        return below(self.trends, self._tested, self.least_percent)

    @property
    def falls(self) -> list[Fall]:
        """The connections below the least share that were not below it in the test before."""
        return falls(self.trends, self._tested, self.least_percent)

    def summary(self) -> str:
        """One line: who is below the threshold, and what happened to the copies."""
        low = ", ".join(f"{name} ({self.trends[name][-1].percent:.0f} %)" for name in self.below)
        text = f"below {self.least_percent:g} % in the inbox: {low}. " if low else ""
        return text + self.test.summary()

    def markdown(self, picture: str, links: Sequence[FormLink] = ()) -> str:
        """The page for operators, with the picture of the trend and links to the next forms."""
        probes = self.test.probes
        lines = [f"# Seed test: {cell(self.test.campaign)}", "", f"**{cell(self.summary())}**", ""]
        rows = [_row(name, self.trends[name]) for name in self._tested]
        lines += table(_HEAD, rows)
        lines += ["## Trend", "", picture, "", _NOTE, ""] if picture else []
        lines += probes.section() if probes else []
        lines += form_section(links)
        return "\n".join(lines) + "\n"

    @property
    def _tested(self) -> list[str]:
        """The connections of which this test knows something."""
        copies = self.test.probes.copies if self.test.probes else ()
        known = {copy.connection for copy in copies if copy.placement}
        return [name for name in self.connections if name in known and name in self.trends]

    @property
    def _is_unread(self) -> bool:
        copies = self.test.probes.copies if self.test.probes else ()
        return any(copy.trouble for copy in copies)


_NOTE = (
    f"The seed tests of {DAYS} days over these connections, whatever their campaign. The dashed"
    " line is the share that this test asks for. With few probe mailboxes a share jumps: one of"
    " four copies is 25 %."
)


def _row(name: str, points: Sequence[Point]) -> list[str]:
    last, before = points[-1], points[-2] if len(points) > 1 else None
    delay = "-" if last.delay_seconds is None else seconds_text(last.delay_seconds)
    counts = (last.spam, last.missing, last.copies)
    texts = [f"{last.percent:.0f} %", *map(str, counts), delay]
    return [cell(masked(name)), *texts, f"{before.percent:.0f} %" if before else "-"]
