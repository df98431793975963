"""Choosing the recipients of a preview: spread over the list, and the extreme ones. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from mailsluice.audience.sample import Sample

SHOWN = 5
"""Recipients of a preview."""


def choose(candidates: Sequence[Sample], columns: Collection[str]) -> list[tuple[int, str]]:
    """Choose up to SHOWN of the candidates, each with the reason.

    Args:
        candidates: Recipients that are spread over the send order, in that order.
        columns: The columns that the message inserts.

    Returns:
        The candidates' places with the reasons, in send order.
    """
    chosen: dict[int, str] = {}
    for place, why in _wanted(candidates, columns):
        if len(chosen) < SHOWN:
            chosen.setdefault(place, why)
    return sorted(chosen.items())


def _wanted(candidates: Sequence[Sample], columns: Collection[str]) -> Iterator[tuple[int, str]]:
    """The places that are worth showing, the most important first."""
    if not candidates:
        return
    places = range(len(candidates))
    values = [[one.variables.get(name, "") for name in columns] for one in candidates]
    yield 0, "the first in send order"
    yield (
        max(places, key=lambda place: max(map(len, values[place]), default=0)),
        "the longest value",
    )
    empty = [sum(not value.strip() for value in row) for row in values]
    if any(empty):
        yield max(places, key=empty.__getitem__), "the most empty values"
    yield len(candidates) - 1, "the last in send order"
    for quarter in (2, 1, 3):
        yield len(candidates) * quarter // 4, "one between them"
