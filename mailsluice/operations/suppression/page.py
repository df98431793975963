"""The page about a change of the suppression list, without addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mailsluice.core.markdown import cell, section, table


class Change(Protocol):
    """A change of the list."""

    def summary(self) -> str:
        """One line with the numbers."""

    def notes(self) -> Sequence[str]:
        """Notes on the change."""

    @property
    def bad_rows(self) -> Sequence[tuple[int, str]]:
        """Rows that were left out: number, counted from 1, and what is wrong."""


def page(change: Change, totals: Mapping[str, int]) -> str:
    """The page: the change, the list by reason, and the bad rows."""
    lines = ["# Suppressions", "", f"**{cell(change.summary())}**", ""]
    lines += section("Notes", [f"- {cell(note)}" for note in change.notes()])
    rows = [[cell(reason), f"{number:,}"] for reason, number in sorted(totals.items())]
    rows.append(["**all**", f"{sum(totals.values()):,}"])
    lines += section("On the list now", table(["reason", "addresses"], rows))
    bad = [[f"{row:,}", what] for row, what in change.bad_rows]
    lines += section("Bad rows", table(["row", "what is wrong"], bad, words=2) if bad else [])
    return "\n".join(lines)
