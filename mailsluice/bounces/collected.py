"""The results of a run over the mailbox, as numbers and as a page. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mailsluice.core.markdown import cell, section, table


class Fate(StrEnum):
    """The result of reading a mail."""

    HARD = "hard"
    SOFT = "soft"
    COMPLAINT = "complaint"
    UNSUBSCRIBED = "unsubscribed"
    NOT_THE_ADDRESS = "refused for another reason than the address"
    PASSING = "not final (delayed, passed on)"
    AUTO_REPLY = "auto-reply"
    UNKNOWN = "not understood"
    UNREADABLE = "not readable"
    NOT_OURS = "not ours"

    @property
    def is_left(self) -> bool:
        """Whether the mail stays in its folder, flagged."""
        return self in _LEFT

    @property
    def is_recorded(self) -> bool:
        """Whether the state database keeps a record of the mail."""
        return self in _RECORDED


_RECORDED = (Fate.HARD, Fate.SOFT, Fate.COMPLAINT, Fate.UNSUBSCRIBED)
_LEFT = (Fate.UNKNOWN, Fate.UNREADABLE, Fate.NOT_OURS)


class Line(NamedTuple):
    """A campaign and a connection whose mail came back."""

    campaign_id: int
    campaign: str
    connection: str


@dataclass
class Collected:
    """Counts, without addresses, which grow while the mailbox is read."""

    fates: Counter[Fate] = field(default_factory=Counter)
    lines: dict[Line, Counter[Fate]] = field(default_factory=dict)
    known_before: int = 0
    """Recorded mails that an interrupted run had recorded before."""
    suppressed: int = 0
    waiting: int = 0
    """Mails that this run leaves for the next one."""
    trouble: str | None = None
    """The reason for which the run stopped early, if it did."""

    def add(self, fate: Fate, line: Line | None = None) -> None:
        """Count a mail."""
        self.fates[fate] += 1
        if line and fate.is_recorded:
            self.lines.setdefault(line, Counter())[fate] += 1

    @property
    def campaign_ids(self) -> set[int]:
        """The campaigns whose mail came back."""
        return {line.campaign_id for line in self.lines}

    def summary(self) -> str:
        """Summarise the run in a line."""
        read = self.fates.total()
        counted = ", ".join(_counted(fate, self.fates[fate]) for fate in Fate if self.fates[fate])
        parts = [f"{read:,} read: {counted}" if read else "nothing new in the mailbox"]
        if read:
            known = f" ({self.known_before:,} known before)" if self.known_before else ""
            parts.append(f"{self.suppressed:,} newly suppressed{known}")
        if self.waiting:
            parts.append(f"{self.waiting:,} left for the next run")
        return "; ".join(parts)

    def markdown(self) -> str:
        """Return the page that an operator reads."""
        counts = [[str(fate), f"{self.fates[fate]:,}"] for fate in Fate if self.fates[fate]]
        rows = [
            [cell(line.campaign), cell(line.connection), *_numbers(self.lines[line])]
            for line in sorted(self.lines)
        ]
        left = sum(self.fates[fate] for fate in _LEFT)
        advice = [f"{left:,} left in the folder, flagged: look there."] if left else []
        head = ["Campaign", "Connection", *(str(fate).capitalize() for fate in _RECORDED)]
        return "\n".join(
            [
                "# Returned mail",
                "",
                f"{self.summary()}.",
                "",
                *section("Stopped early", [cell(self.trouble)] if self.trouble else []),
                *section("By campaign and connection", table(head, rows, 2) if rows else []),
                *section("All mail", table(["Mail", "Count"], counts) if counts else []),
                *advice,
            ]
        )


_PLURALS = {Fate.COMPLAINT: "complaints", Fate.AUTO_REPLY: "auto-replies"}


def _counted(fate: Fate, number: int) -> str:
    return f"{number:,} {_PLURALS.get(fate, fate) if number != 1 else fate}"


def _numbers(counts: Counter[Fate]) -> Iterable[str]:
    return (f"{counts[fate]:,}" for fate in _RECORDED)
