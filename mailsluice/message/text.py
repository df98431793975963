"""Make plain text from the HTML, without converting the HTML of every recipient.

The values that a template inserts do not change the structure; the parts that it leaves out or
repeats do. So the static pieces of a rendered HTML, in order, are converted once, with marks in the
place of the values (html2text takes milliseconds). Then each recipient's values are inserted,
unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from mailsluice.core.errors import MessageError
from mailsluice.message.outline import Insertion, Outline
from mailsluice.message.simple import Rendered

if TYPE_CHECKING:
    from html2text import HTML2Text

_Value = TypeVar("_Value")
Shape = tuple[str | int, ...]
"""The pieces of a rendered HTML, with a number in the place of each inserted value."""

Pattern = tuple[int | None, ...]
"""For each insertion, the number of its value among the values that differ; None if it is empty."""
_EMPTY = None

_MARK = re.compile("\ufdd0([0-9]+)\ufdd1")  # noncharacters, which no text contains
_NEEDLESS_ESCAPE = re.compile(r"^([ \t]*+[0-9]*+)\\([.+-])(?=\s)", re.MULTILINE)
"""Matches escapes of html2text, which writes Markdown: "1\\. May" for "1. May"."""

_HARD_BREAK = re.compile(r"(?<![ \t])[ \t]++$", re.MULTILINE)
_TABLE_TAGS = frozenset(("table", "tr", "td", "th"))


class TextFromHtml:
    """Makes the text of a message; keeps the conversions of the last 256 shapes."""

    def __init__(self) -> None:
        self._converted = lru_cache(maxsize=256)(_convert)

    def render(self, rendered: Rendered) -> str:
        """Make the text of a rendered HTML.

        Equal values share a number, so that a link that shows its own address is recognised. An
        empty value counts as no value. A value that is HTML itself (`|safe`, a macro) belongs to
        the structure.
        """
        values: dict[str, int] = {}
        shape: list[str | int] = [*rendered.pieces]
        for position, value in rendered.inserted.items():
            if value:
                shape[position] = values.setdefault(value, len(values))
        return "".join(self._filled(shape, [*values]))

    def outline(self, html: Outline, pattern: Pattern) -> Outline:
        """Return the parts of the text for values with this pattern (see `pattern_of`)."""
        insertions = insertions_of(html)
        numbers = dict(zip(insertions, pattern, strict=True))
        shape = [part if isinstance(part, str) else numbers[part] for part in html]
        holes = {
            number: hole._replace(escaped=False)
            for hole, number in reversed(numbers.items())
            if number is not _EMPTY
        }
        values = [holes[number] for number in range(len(holes))]
        return self._filled(["" if part is _EMPTY else part for part in shape], values)

    def _filled(self, shape: Sequence[str | int], values: Sequence[_Value]) -> list[str | _Value]:
        text, holes = self._converted(tuple(shape))
        filled: list[str | _Value] = [*text]
        for position, number in holes:
            filled[position] = values[number]
        return filled


def insertions_of(outline: Outline) -> list[Insertion]:
    """List the insertions of an outline, each once."""
    return [*dict.fromkeys(part for part in outline if not isinstance(part, str))]


def pattern_of(insertions: Sequence[Insertion], values: Mapping[str, str]) -> Pattern:
    """Tell which of the inserted values are empty, and which are equal.

    Rows with the same pattern share the text that is made from their HTML, except for the values.
    """
    numbers: dict[str, int] = {}
    changed = [change(values[name]) for name, change, _ in insertions]
    return tuple([numbers.setdefault(text, len(numbers)) if text else _EMPTY for text in changed])


def _convert(shape: Shape) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Return pieces of text, and the places of values among them as (position, number)."""
    marked = [
        f"\ufdd0{piece}\ufdd1" if isinstance(piece, int) else piece.replace("\ufdd0", "")
        for piece in shape
    ]
    pieces = _MARK.split(html_to_text("".join(marked)))
    holes = tuple((position, int(pieces[position])) for position in range(1, len(pieces), 2))
    return tuple(pieces), holes


def html_to_text(source: str) -> str:
    """Convert HTML to readable plain text.

    Links become [text](address), images their alt text, and each row of a table a line.

    Raises MessageError if the HTML cannot be read.
    """
    from html2text import HTML2Text  # few messages have no text of their own

    converter = HTML2Text(bodywidth=0)
    converter.unicode_snob = True
    converter.ignore_emphasis = True
    converter.images_to_alt = True
    converter.tag_callback = _table_as_lines  # type: ignore[assignment]  # annotated as None
    try:
        markdown = converter.handle(source)
    except AssertionError:  # html.parser refuses so; its message may contain a value
        raise MessageError(
            "html: no text can be made from it, since it has a section (<![ ... ]>) that HTML does "
            "not know: correct it, or give the message a text"
        ) from None
    text = _HARD_BREAK.sub("", _NEEDLESS_ESCAPE.sub(r"\1\2", markdown))
    return text.strip("\n") + "\n"


def _table_as_lines(
    converter: HTML2Text, tag: str, _attributes: dict[str, str | None], _start: bool
) -> bool:
    """Turn the rows of tables into lines, with the cells side by side.

    Mail is laid out in tables. html2text would make Markdown tables, or run the cells together.
    """
    if tag == "table":
        converter.p()
    elif tag == "tr":
        converter.pbr()
    elif tag in {"td", "th"}:
        converter.o(" ", puredata=True)
    return tag in _TABLE_TAGS
