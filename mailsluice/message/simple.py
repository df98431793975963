"""Fast rendering of templates that have an outline, as most campaigns have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from jinja2 import nodes
from markupsafe import escape

from mailsluice.message.bounds import MOST_RENDERED, too_long
from mailsluice.message.outline import (
    Change,
    Choice,
    Decisions,
    Outline,
    Parts,
    decide,
    flatten,
    parts_of,
)


class Rendered(NamedTuple):
    """A rendered template, in pieces."""

    pieces: list[str]
    inserted: dict[int, str]
    """In HTML, the inserted values, unescaped, by position; the other pieces are structure."""


class _Flat(NamedTuple):
    """An outline, ready to be filled."""

    pieces: list[str]
    holes: list[tuple[int, str, Change, bool]]
    longest: int
    """The most characters of each value, so that all of them together are not too long."""


class SimpleTemplate:
    """A template of text, insertions and simple conditions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.is_flat = not any(isinstance(part, Choice) for part in parts)
        """Whether there are no conditions."""
        self._only = _ready(self.outline(())) if self.is_flat else None

    @classmethod
    def of(
        cls, tree: nodes.Template, known: Collection[str], *, escaped: bool
    ) -> SimpleTemplate | None:
        """Make a simple template from a parsed one; None if the parsed one is not simple."""
        parts = parts_of(tree, known, escaped=escaped)
        return None if parts is None else cls(parts)

    def decide(self, values: Mapping[str, str]) -> Decisions:
        """Decide the conditions for a row. Raises KeyError for a missing value."""
        return () if self.is_flat else decide(self._parts, values)

    def outline(self, decisions: Decisions) -> Outline:
        """Return the parts for rows with these decisions."""
        return flatten(self._parts, decisions)

    def fill(self, values: Mapping[str, str]) -> Rendered:
        """Fill in the values. Raises KeyError for a missing one, TooMuchError for a long one."""
        flat = self._only or _ready(self.outline(self.decide(values)))
        pieces = flat.pieces.copy()
        inserted = {}
        for position, name, change, escaped in flat.holes:
            value = change(values[name])
            if len(value) > flat.longest:
                raise too_long()
            inserted[position] = value
            pieces[position] = escape_value(value) if escaped else value
        return Rendered(pieces, inserted)

    def render(self, values: Mapping[str, str]) -> str:
        """Return the joined pieces of `fill`, which raises the same errors."""
        flat = self._only or _ready(self.outline(self.decide(values)))
        pieces = flat.pieces.copy()
        for position, name, change, escaped in flat.holes:
            value = change(values[name])
            if len(value) > flat.longest:
                raise too_long()
            pieces[position] = escape_value(value) if escaped else value
        return "".join(pieces)


def _ready(outline: Outline) -> _Flat:
    holes = [(place, *part) for place, part in enumerate(outline) if not isinstance(part, str)]
    pieces = [part if isinstance(part, str) else "" for part in outline]
    room = MOST_RENDERED - sum(map(len, pieces))
    return _Flat(pieces, holes, room // max(len(holes), 1))


def escape_value(value: str) -> str:
    """Escape a value for HTML; `escape`, which is slow, is only called if it may be needed."""
    return value if value.isalnum() else escape(value)
