"""The text of a CSV file on its way to the parser: decoded, and no quote left open.

A parser takes a quote that is never closed for a value that goes on to the next quote, or to the
end of the file, and so swallows rows without a word. Here every quoted value that runs over a line
end has to end as RFC 4180 says: with a quote before a delimiter, a line end or the end of the file.
Everything is bounded by blocks and linear.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

_LINE_PART = 1 << 21  # characters


class OpenQuoteError(Exception):
    """A quote that is never closed, or closed where no value ends."""

    def __init__(self, offset: int) -> None:
        """`offset` is its place in the text, in characters."""
        super().__init__(offset)
        self.offset = offset


def pieces(file: BinaryIO, encoding: str, first_bytes: int, further_bytes: int) -> Iterator[str]:
    """Decode a file from its beginning; pieces may be empty. Raises UnicodeError."""
    decoder = codecs.getincrementaldecoder(encoding)()
    size = first_bytes
    while block := file.read(size):
        yield decoder.decode(block)
        size = further_bytes
    yield decoder.decode(b"", True)


def checked(texts: Iterator[str], delimiter: str, start: int, longest: int) -> Iterator[str]:
    """Pass a text on whose first character is `start` characters into the file.

    Raises OpenQuoteError at a quote that swallows rows, or a quoted value of more than `longest`
    characters.
    """
    grammar = _Grammar(delimiter)
    before, waiting = "\n", ""  # the character before, and what is not yet passed on
    for text in texts:
        waiting += text
        end = grammar.passable(before, waiting, start)
        if len(waiting) - end > longest:
            raise OpenQuoteError(start + end)
        if end:
            yield waiting[:end]
            before, waiting, start = waiting[end - 1], waiting[end:], start + end
    if waiting:
        end = grammar.passable(before, f"{waiting}\n", start)
        if end <= len(waiting):
            raise OpenQuoteError(start + end)
        yield waiting


class _Grammar:
    """Where quoted values begin and end."""

    def __init__(self, delimiter: str) -> None:
        ends = f"[{re.escape(delimiter)}\r\n]"
        # No possessive groups: on Python 3.11.2, Debian 12's, their matches end a character early.
        value = '"[^"]*+(?:""[^"]*+)*"(?!")'
        self._begins = re.compile(f'(?<={ends})"')
        self._value = re.compile(value)
        self._good = re.compile(f'(?:[^"]++|(?<={ends}){value}(?={ends}))*')
        self._line_end = re.compile("[\r\n]")

    def passable(self, before: str, text: str, start: int) -> int:
        """How much of the text can be passed on: up to a quote of which the end is not yet seen.

        `before` is the character before it. Raises OpenQuoteError; the text is `start` characters
        into the file.
        """
        text, at = before + text, 1
        while found := self._good.match(text, at):
            at = found.end()
            if at == len(text):
                break
            if not self._begins.match(text, at):  # a quote within a value is itself
                at += 1
                continue
            value = self._value.match(text, at)
            if value is None or value.end() == len(text):
                break
            if self._line_end.search(text, at, value.end()):
                raise OpenQuoteError(start + at - 1)
            at = value.end()
        return at - 1


def place_of(
    file: BinaryIO, encoding: str, delimiter: str, skipped: int, offset: int
) -> tuple[int, int]:
    """The data row and the line that a character of the text is in; both count from 1.

    `skipped` are characters before the header. Reads the file again, up to there.
    """
    file.seek(0)
    text = TextIOWrapper(file, encoding, newline="")
    lines = 0

    def up_to_there() -> Iterator[str]:
        nonlocal lines
        seen = 0
        for line in iter(lambda: text.readline(_LINE_PART), ""):
            seen += len(line)
            lines += line[-1] in "\r\n" or seen > offset
            if seen > skipped:
                yield line
            if seen > offset:
                return

    rows = -1  # the header is none
    try:
        for fields in csv.reader(up_to_there(), delimiter=delimiter):
            rows += bool(fields)
    except csv.Error:  # the very value that does not end
        rows += 1
    text.detach()
    return rows, lines
