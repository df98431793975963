"""Plain text made from the HTML, without converting the HTML of every recipient.

What a template inserts does not change the structure; what it leaves out or repeats does. So the
static pieces of a rendered HTML, in order, are converted once with marks where the values go
(html2text takes milliseconds), and each recipient's values go in as they are, unescaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from html2text import HTML2Text

from mailsluice.core.errors import MessageError
from mailsluice.message.simple import Insertion, Outline, Rendered

_Value = TypeVar("_Value")
Shape = tuple[str | int, ...]
"""A rendered HTML with the number of the value where one was inserted."""

_MARK = re.compile("\ufdd0([0-9]+)\ufdd1")  # noncharacters: no text has them
_NEEDLESS_ESCAPE = re.compile(r"^([ \t]*+[0-9]*+)\\([.+-])(?=\s)", re.MULTILINE)
"""html2text writes Markdown: "1\\. May" where the text said "1. May"."""

_HARD_BREAK = re.compile(r"(?<![ \t])[ \t]++$", re.MULTILINE)
_TABLE_TAGS = frozenset(("table", "tr", "td", "th"))


class TextFromHtml:
    """Makes the text of one message; keeps the conversions of its last 256 shapes."""

    def __init__(self) -> None:
        self._converted = lru_cache(maxsize=256)(_convert)

    def render(self, rendered: Rendered) -> str:
        """The text of a rendered HTML.

        Equal values share a number (a link that shows its own address is one), an empty value is
        no value, and a value that is HTML itself (`|safe`, a macro) belongs to the structure.
        """
        values: dict[str, int] = {}
        shape: list[str | int] = [*rendered.pieces]
        for position, value in rendered.inserted.items():
            if value:
                shape[position] = values.setdefault(value, len(values))
        return "".join(self._filled(shape, [*values]))

    def outline(self, html: Outline) -> Outline:
        """What the text is made of, as long as the values differ and none is empty."""
        numbers: dict[Insertion, int] = {}
        shape = [
            part if isinstance(part, str) else numbers.setdefault(part, len(numbers))
            for part in html
        ]
        return self._filled(shape, [one._replace(escaped=False) for one in numbers])

    def _filled(self, shape: Sequence[str | int], values: Sequence[_Value]) -> list[str | _Value]:
        text, holes = self._converted(tuple(shape))
        filled: list[str | _Value] = [*text]
        for position, number in holes:
            filled[position] = values[number]
        return filled


def _convert(shape: Shape) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Pieces of text, and which of them is which value: (position, number)."""
    marked = [
        f"\ufdd0{piece}\ufdd1" if isinstance(piece, int) else piece.replace("\ufdd0", "")
        for piece in shape
    ]
    pieces = _MARK.split(html_to_text("".join(marked)))
    holes = tuple((position, int(pieces[position])) for position in range(1, len(pieces), 2))
    return tuple(pieces), holes


def html_to_text(source: str) -> str:
    """Readable plain text: links as [text](address), images by their alt, a table row a line.

    Raises MessageError where the HTML cannot be read.
    """
    converter = HTML2Text(bodywidth=0)
    converter.unicode_snob = True
    converter.ignore_emphasis = True
    converter.images_to_alt = True
    converter.tag_callback = _table_as_lines  # type: ignore[assignment]  # annotated as None
    try:
        markdown = converter.handle(source)
    except AssertionError:  # html.parser's way to refuse; its words may repeat a value
        raise MessageError(
            "html: no text can be made from it, since it has a section (<![ ... ]>) that HTML does "
            "not know: correct it, or give the message a text"
        ) from None
    text = _HARD_BREAK.sub("", _NEEDLESS_ESCAPE.sub(r"\1\2", markdown))
    return text.strip("\n") + "\n"


def _table_as_lines(
    converter: HTML2Text, tag: str, _attributes: dict[str, str | None], _start: bool
) -> bool:
    """Mail is laid out in tables: rows become lines, cells stand side by side.

    html2text would make Markdown tables, or run the cells together.
    """
    if tag == "table":
        converter.p()
    elif tag == "tr":
        converter.pbr()
    elif tag in {"td", "th"}:
        converter.o(" ", puredata=True)
    return tag in _TABLE_TAGS
