"""What was done to the list, as a page without addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mailsluice.core.markdown import cell, section, table


class Change(Protocol):
    """What was done to the list."""

    def summary(self) -> str:
        """One line: how many."""

    def notes(self) -> Sequence[str]:
        """What the reader should know besides."""

    @property
    def bad_rows(self) -> Sequence[tuple[int, str]]:
        """Rows that were left out: number, counted from 1, and what is wrong."""


def page(change: Change, totals: Mapping[str, int]) -> str:
    """The page: what was done, what is on the list now, which rows were bad."""
    lines = ["# Suppressions", "", f"**{cell(change.summary())}**", ""]
    lines += section("Notes", [f"- {cell(note)}" for note in change.notes()])
    rows = [[cell(reason), f"{number:,}"] for reason, number in sorted(totals.items())]
    rows.append(["**all**", f"{sum(totals.values()):,}"])
    lines += section("On the list now", table(["reason", "addresses"], rows))
    bad = [[f"{row:,}", what] for row, what in change.bad_rows]
    lines += section("Bad rows", table(["row", "what is wrong"], bad, words=2) if bad else [])
    return "\n".join(lines)
