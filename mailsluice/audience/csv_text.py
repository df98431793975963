"""Decode the text of a CSV file for the parser, and refuse quotes that are left open.

A parser takes a quote that is never closed for a value that goes on until the next quote, or the
end of the file, and so swallows rows silently. Here, every quoted value with a line end in it has
to end as RFC 4180 says: with a quote before a delimiter, a line end or the end of the file. Memory
is bounded by the block size, and time is linear.
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
        """`offset` is the quote's place in the text, in characters."""
        super().__init__(offset)
        self.offset = offset


def pieces(file: BinaryIO, encoding: str, first_bytes: int, further_bytes: int) -> Iterator[str]:
    """Decode a file from its beginning; yielded pieces may be empty. Raises UnicodeError."""
    decoder = codecs.getincrementaldecoder(encoding)()
    size = first_bytes
    while block := file.read(size):
        yield decoder.decode(block)
        size = further_bytes
    yield decoder.decode(b"", True)


def checked(texts: Iterator[str], delimiter: str, start: int, longest: int) -> Iterator[str]:
    """Pass a text on, after checking its quotes.

    Args:
        texts: The pieces of the text.
        delimiter: The character between columns.
        start: Characters of the file before the text.
        longest: The most characters of a quoted value.

    Raises:
        OpenQuoteError: A quote swallows rows, or a quoted value is too long.
    """
    grammar = _Grammar(delimiter)
    before, waiting = "\n", ""  # the last character passed on, and the text not passed on yet
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
    """The rules for the beginning and the end of quoted values."""

    def __init__(self, delimiter: str) -> None:
        ends = f"[{re.escape(delimiter)}\r\n]"
        # No possessive groups: their matches end a character early on Python 3.11.2 (Debian 12).
        value = '"[^"]*+(?:""[^"]*+)*"(?!")'
        self._begins = re.compile(f'(?<={ends})"')
        self._value = re.compile(value)
        self._good = re.compile(f'(?:[^"]++|(?<={ends}){value}(?={ends}))*')
        self._line_end = re.compile("[\r\n]")

    def passable(self, before: str, text: str, start: int) -> int:
        """Return how many characters can be passed on: up to a quoted value that has not ended.

        Args:
            before: The character before the text.
            text: The text.
            start: Characters of the file before the text.

        Raises:
            OpenQuoteError: A quoted value with a line end does not end as it should.
        """
        text, at = before + text, 1
        while match := self._good.match(text, at):
            at = match.end()
            if at == len(text):
                break
            if not self._begins.match(text, at):  # a quote within an unquoted value is literal
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
    """Return the data row and the line of a character of the text; both count from 1.

    Reads the file again, up to that character. `skipped` is the number of characters before the
    header.
    """
    file.seek(0)
    text = TextIOWrapper(file, encoding, newline="")
    lines = 0

    def up_to_offset() -> Iterator[str]:
        nonlocal lines
        seen = 0
        for line in iter(lambda: text.readline(_LINE_PART), ""):
            seen += len(line)
            lines += line[-1] in "\r\n" or seen > offset
            if seen > skipped:
                yield line
            if seen > offset:
                return

    rows = -1  # since the header is not a data row
    try:
        for fields in csv.reader(up_to_offset(), delimiter=delimiter):
            rows += bool(fields)
    except csv.Error:  # the row of the value that does not end
        rows += 1
    text.detach()
    return rows, lines
