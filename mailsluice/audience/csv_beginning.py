"""The beginning of a CSV file: encoding, delimiter, header, how its rows end."""

from __future__ import annotations

import codecs
import csv
import re
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import BinaryIO

from mailsluice.audience.chunk import MAX_COLUMNS
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError

_BEFORE_HEADER = re.compile(r'\ufeff*(?:"?sep=([,;:|\t])"?[ \t]*(?:\r\n|\r|\n))?', re.IGNORECASE)
"""Byte order marks, and a first line by which a spreadsheet tells what separates the columns."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file, as its beginning describes it."""

    delimiter: str
    header: list[str]
    """Names of columns."""
    has_ends: bool
    """Whether the first row ends in a delimiter more than the header: all do so, most likely."""
    start: int
    """Characters before the header."""
    heading: str
    """The header's text."""
    first: int
    """Characters before the first row."""
    beginning: str
    """The first piece of the text, from the first row on."""
    has_line_end: bool
    """Whether the header has one."""

    @property
    def names(self) -> list[str]:
        """Of the columns, as the parser is told them."""
        return [str(number) for number in range(len(self.header) + self.has_ends)]

    def fields(self, text: str) -> list[str] | None:
        """The fields of a row that the parser has skipped; None where they do not fit the header.

        A delimiter at its end may be missing, or one too many.
        """
        try:
            found = next(csv.reader([text], delimiter=self.delimiter), [])
        except csv.Error:
            return None
        width = len(self.header)
        if len(found) == width + 1 and not found[-1].strip():
            return found[:-1]
        if len(found) == width - 1 and not self.header[-1].strip():
            return [*found, ""]
        return found if len(found) == width else None


def begin(path: Path, text: str, delimiter: str) -> Table:
    """Read the first piece of a file's text; a first line `sep=;` outweighs the delimiter.

    Raises AudienceError where there is no header.
    """
    where, start = f"the file {path}", 0
    if before := _BEFORE_HEADER.match(text):
        delimiter, start = before[1] or delimiter, before.end()
    lines = StringIO(text[start:], newline="")
    rows = (row for row in csv.reader(iter(lines.readline, ""), delimiter=delimiter) if row)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise AudienceError(f"the first line of {path} is not a CSV header: {error}") from None
    first, row = start + lines.tell(), list[str]()
    if len(header) <= MAX_COLUMNS:
        with suppress(csv.Error):  # what is wrong with rows is found in its time
            row = next(rows, [])
    if not header:
        raise AudienceError(f"{where} is empty: give it a header line and a row a recipient")
    if "\0" in "".join(header):
        raise AudienceError(
            f"{where} has zeros between its letters, as UTF-16 has: set 'encoding' to utf-16-le or"
            " utf-16-be, or save it as UTF-8"
        )
    has_ends = len(row) == len(header) + 1 and not row[-1].strip()
    has_line_end = text[first - 1] in "\r\n"
    heading, rest = text[start:first], text[first:]
    return Table(delimiter, header, has_ends, start, heading, first, rest, has_line_end)


def delimiter_of(path: Path, source: RecipientSource) -> str:
    """Give the delimiter of the source: by default a tab in a .tsv file."""
    given = "delimiter" in source.model_fields_set
    return "\t" if path.suffix.lower() == ".tsv" and not given else source.delimiter


def encoding_of(name: str) -> str:
    """The encoding to open with: a byte order mark before UTF-8 is not part of the first name."""
    return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name


def refuse_utf16(path: Path, file: BinaryIO, encoding: str) -> None:
    """Raise AudienceError for UTF-16 that nobody has told of."""
    mark = file.read(2)
    file.seek(0)
    if encoding == "utf-8-sig" and mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise AudienceError(
            f"the file {path} is in UTF-16, as spreadsheets write 'Unicode text': set 'encoding' to"
            " utf-16, or save it as UTF-8"
        )


def refuse_endless_header(path: Path, file: BinaryIO, table: Table, looked_at: int) -> None:
    """Raise AudienceError where the header does not end within the bytes that were looked at."""
    if not table.beginning and not table.has_line_end and file.read(1):
        raise AudienceError(
            f"the file {path} has no end of line in its first {looked_at >> 20} MB: check that"
            " it is a CSV file"
        )
