"""Templates of text and plain insertions: what most campaigns have, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from jinja2 import nodes
from jinja2.filters import FILTERS
from markupsafe import escape

_Hole = tuple[int, str, Callable[[str], str]]
"""Position, variable, and what is done to its value."""
_TEXT_FILTERS: dict[str, Callable[[str], str]] = {
    name: FILTERS[name] for name in ("urlencode", "upper", "lower", "title", "trim")
}
"""Filters that need nothing but the text they change."""


class Rendered(NamedTuple):
    """A rendered template, in pieces."""

    pieces: list[str]
    inserted: dict[int, str]
    """In HTML, the values inserted, unescaped, by position; the other pieces are structure."""


class SimpleTemplate:
    """A template of text, `{{ name }}` and `{{ name|filter }}`: filled in without a Jinja context,
    which costs more than all the rest."""

    def __init__(self, pieces: list[str], holes: list[_Hole], *, escaped: bool) -> None:
        self._pieces = pieces
        self._holes = holes
        self._escaped = escaped

    @classmethod
    def of(
        cls, tree: nodes.Template, known: Collection[str], *, escaped: bool
    ) -> SimpleTemplate | None:
        """None where the template is more than that."""
        outputs = [one for one in tree.body if isinstance(one, nodes.Output)]
        parts = [part for output in outputs for part in output.nodes]
        pieces: list[str] = []
        holes: list[_Hole] = []
        for part in parts:
            if isinstance(part, nodes.TemplateData):
                pieces.append(part.data)
            elif (hole := _hole(len(pieces), part, known)) is not None:
                holes.append(hole)
                pieces.append("")
        whole = len(outputs) == len(tree.body) and len(pieces) == len(parts)
        return cls(pieces, holes, escaped=escaped) if whole else None

    def fill(self, values: Mapping[str, str]) -> Rendered:
        pieces = self._pieces.copy()
        inserted = {}
        for position, name, change in self._holes:
            value = change(values[name])
            inserted[position] = value
            pieces[position] = escape(value) if self._escaped and not value.isalnum() else value
        return Rendered(pieces, inserted)


def _hole(position: int, node: nodes.Node, known: Collection[str]) -> _Hole | None:
    if isinstance(node, nodes.Name) and node.name in known:
        return position, node.name, str
    if isinstance(node, nodes.Filter) and node.name in _TEXT_FILTERS and not node.args:
        inner = node.node
        if isinstance(inner, nodes.Name) and inner.name in known and not node.kwargs:
            return position, inner.name, _TEXT_FILTERS[node.name]
    return None
