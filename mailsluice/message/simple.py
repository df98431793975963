"""Templates of text and plain insertions: what most campaigns have, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import nodes
from jinja2.filters import FILTERS, do_urlencode
from markupsafe import escape

from mailsluice.message.bounds import MOST_RENDERED, too_long

_PERCENT_ENCODED = [quote(chr(code)) for code in range(128)]


def _urlencode(value: str) -> str:
    """Jinja's filter, in a quarter of the time for ASCII: most unsubscribe addresses have it."""
    ready: str = value.translate(_PERCENT_ENCODED) if value.isascii() else do_urlencode(value)
    return ready


_TEXT_FILTERS: dict[str, Callable[[str], str]] = {
    **{name: FILTERS[name] for name in ("upper", "lower", "title", "trim")},
    "urlencode": _urlencode,
}
"""Filters that need nothing but the text they change."""


class Insertion(NamedTuple):
    """What stands in a hole of a template: a variable's value, changed and perhaps escaped."""

    name: str
    change: Callable[[str], str]
    escaped: bool


Outline = Sequence[str | Insertion]
"""What a body is made of, in order."""


class Rendered(NamedTuple):
    """A rendered template, in pieces."""

    pieces: list[str]
    inserted: dict[int, str]
    """In HTML, the values inserted, unescaped, by position; the other pieces are structure."""


class SimpleTemplate:
    """A template of text, `{{ name }}` and `{{ name|filter }}`: filled in without a Jinja context,
    which costs more than all the rest."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._pieces = [part if isinstance(part, str) else "" for part in outline]
        self._holes = [
            (position, *part) for position, part in enumerate(outline) if not isinstance(part, str)
        ]
        self._longest = MOST_RENDERED // max(len(self._holes), 1)
        """The longest that each value may be, so that all of them together are not too long."""

    @classmethod
    def of(
        cls, tree: nodes.Template, known: Collection[str], *, escaped: bool
    ) -> SimpleTemplate | None:
        """None where the template is more than that."""
        outputs = [one for one in tree.body if isinstance(one, nodes.Output)]
        parts = [part for output in outputs for part in output.nodes]
        outline: list[str | Insertion] = []
        for part in parts:
            if isinstance(part, nodes.TemplateData):
                outline.append(part.data)
            elif (insertion := _insertion(part, known, escaped=escaped)) is not None:
                outline.append(insertion)
        whole = len(outputs) == len(tree.body) and len(outline) == len(parts)
        return cls(outline) if whole else None

    def fill(self, values: Mapping[str, str]) -> Rendered:
        pieces = self._pieces.copy()
        inserted = {}
        for position, name, change, escaped in self._holes:
            value = change(values[name])
            if len(value) > self._longest:
                raise too_long()
            inserted[position] = value
            pieces[position] = escape_value(value) if escaped else value
        return Rendered(pieces, inserted)

    def render(self, values: Mapping[str, str]) -> str:
        """The pieces that `fill` gives, joined."""
        pieces = self._pieces.copy()
        for position, name, change, escaped in self._holes:
            value = change(values[name])
            if len(value) > self._longest:
                raise too_long()
            pieces[position] = escape_value(value) if escaped else value
        return "".join(pieces)


def escape_value(value: str) -> str:
    """`escape`, which takes its time, for what may need it."""
    return value if value.isalnum() else escape(value)


def _insertion(node: nodes.Node, known: Collection[str], *, escaped: bool) -> Insertion | None:
    if isinstance(node, nodes.Name) and node.name in known:
        return Insertion(node.name, str, escaped)
    if isinstance(node, nodes.Filter) and node.name in _TEXT_FILTERS and not node.args:
        inner = node.node
        if isinstance(inner, nodes.Name) and inner.name in known and not node.kwargs:
            return Insertion(inner.name, _TEXT_FILTERS[node.name], escaped)
    return None
