"""The beginning of a CSV file: its encoding, delimiter and header, and the end of its rows."""

from __future__ import annotations

import codecs
import csv
import re
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePath
from typing import BinaryIO

from mailsluice.audience.blanks import trimmed
from mailsluice.audience.chunk import MAX_COLUMNS
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError

_BEFORE_HEADER = re.compile(r'\ufeff*(?:"?sep=([,;:|\t])"?[ \t]*(?:\r\n|\r|\n))?', re.IGNORECASE)
"""Byte order marks, and a first line with which a spreadsheet declares the delimiter."""
_OTHER_LINE_ENDS = {
    "\x0b": "a vertical tab",
    "\x0c": "a form feed",
    "\x1c": "a file separator (U+001C)",
    "\x1d": "a group separator (U+001D)",
    "\x1e": "a record separator (U+001E)",
    "\x85": "the line end of mainframes, NEL (U+0085),",
    "\u2028": "a line separator (U+2028)",
    "\u2029": "a paragraph separator (U+2029)",
}
"""Characters with which some systems end lines. CSV has only CR, LF and both, so a file whose lines
end otherwise reads as a long header without any row."""
_ADDRESS = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_MARKED = {
    codecs.BOM_UTF32_LE: ("utf-32", "utf-32-le"),
    codecs.BOM_UTF32_BE: ("utf-32", "utf-32-be"),
    codecs.BOM_UTF16_LE: ("utf-16", "utf-16-le"),
    codecs.BOM_UTF16_BE: ("utf-16", "utf-16-be"),
    codecs.BOM_UTF8: ("utf-8", "utf-8-sig"),
}
"""The encodings of files that begin with a byte order mark; UTF-32's first, as it begins with that
of UTF-16."""
_OTHER_FORMATS = {
    b"PK\x03\x04": ("a zip file, such as an Excel workbook (.xlsx)", "export the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Office file (.xls)", "export the sheet as CSV"),
    b"\x1f\x8b\x08": ("a file compressed by gzip", "unpack it, and give the CSV file"),
    b"%PDF-": ("a PDF file", "export the list as CSV"),
}
"""Files that are no text, by their first bytes: what they are, and what to do."""


@dataclass(frozen=True, slots=True)
class Table:
    """The structure of a CSV file, learnt from its beginning."""

    delimiter: str
    header: list[str]
    """Names of columns."""
    has_ends: bool
    """Whether the first row, and so probably each, ends in a delimiter that the header lacks."""
    start: int
    """Characters before the header."""
    heading: str
    """The header's text."""
    first: int
    """Characters before the first row."""
    beginning: str
    """The first piece of the text, from the first row on."""
    has_line_end: bool
    """Whether the header's line ends."""

    @property
    def names(self) -> list[str]:
        """The names of the columns for the parser."""
        return [str(position) for position in range(len(self.header) + self.has_ends)]

    def fields(self, text: str) -> list[str] | None:
        """Return the fields of a row that the parser skipped; None if they do not fit the header.

        The row may lack a delimiter at its end, or have one too many.
        """
        try:
            fields = next(csv.reader([text], delimiter=self.delimiter), [])
        except csv.Error:
            return None
        width = len(self.header)
        if len(fields) == width + 1 and not fields[-1].strip():
            return fields[:-1]
        if len(fields) == width - 1 and not self.header[-1].strip():
            return [*fields, ""]
        return fields if len(fields) == width else None


def begin(name: str, text: str, delimiter: str) -> Table:
    """Read the first piece of a file's text; a first line `sep=;` overrides the delimiter.

    Raises AudienceError if there is no header, or if its line has a line end of other systems.
    """
    where, start = f"the file {name}", 0
    if before := _BEFORE_HEADER.match(text):
        delimiter, start = before[1] or delimiter, before.end()
    lines = StringIO(text[start:], newline="")
    rows = (row for row in csv.reader(iter(lines.readline, ""), delimiter=delimiter) if row)
    try:
        header = next(rows, [])
    except csv.Error as error:
        _refuse_other_line_ends(where, re.split("[\r\n]", text[start:].lstrip(), maxsplit=1)[0], "")
        raise AudienceError(f"the first line of {name} is not a CSV header: {error}") from None
    first, row = start + lines.tell(), list[str]()
    if len(header) <= MAX_COLUMNS:
        with suppress(csv.Error):  # malformed rows are reported when they are read
            row = next(rows, [])
    if not header:
        raise AudienceError(
            f"{where} is empty: give it a header line, and a row for each recipient"
        )
    if "\0" in "".join(header):
        raise AudienceError(
            f"{where} has zeros between its letters, like UTF-16: set 'encoding' to utf-16-le or"
            " utf-16-be, or save the file as UTF-8"
        )
    heading, rest = text[start:first], text[first:]
    _refuse_other_line_ends(where, heading, rest)
    has_ends = len(row) == len(header) + 1 and not row[-1].strip()
    has_line_end = text[first - 1] in "\r\n"
    return Table(delimiter, header, has_ends, start, heading, first, rest, has_line_end)


def _refuse_other_line_ends(where: str, heading: str, rest: str) -> None:
    """Raise AudienceError if the header's line has rows in it, parted as on other systems.

    If rows follow it and it has no address, the character is one of the header's own.
    """
    if rest.strip() and not _ADDRESS.search(heading):
        return
    heading = trimmed(heading)
    for character, name in _OTHER_LINE_ENDS.items():
        if character in heading:
            raise AudienceError(
                f"{where} has {name} in its first line, so its header cannot be told from its rows:"
                " write the file again with LF or CR LF at the end of each line, and without this"
                " character in the header"
            )


def delimiter_of(source: RecipientSource) -> str:
    """Return the delimiter of the source; of a .tsv file, a tab unless the source gives another."""
    is_given = "delimiter" in source.model_fields_set
    is_tsv = ".tsv" in map(str.lower, PurePath(source.file_name).suffixes[-2:])
    return "\t" if is_tsv and not is_given else source.delimiter


def encoding_of(name: str) -> str:
    """Return the encoding to decode with: one for UTF-8 that removes a byte order mark."""
    return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name


def refuse_other_files(name: str, file: BinaryIO, encoding: str) -> None:
    """Raise AudienceError if a file begins as one of another format, or of another encoding."""
    beginning = file.read(8)
    file.seek(0)
    for magic, (what, advice) in _OTHER_FORMATS.items():
        if beginning.startswith(magic):
            raise AudienceError(f"the file {name} is {what}, and not a CSV file: {advice}")
    for mark, (found, *others) in _MARKED.items():
        if not beginning.startswith(mark):
            continue
        if codecs.lookup(encoding).name not in (found, *others):
            raise AudienceError(
                f"the file {name} begins as {found.upper()} does, which is not {encoding}:"
                f" set 'encoding' to {found}, or save the file as UTF-8"
            )
        return


def refuse_other_delimiter(name: str, table: Table) -> None:
    """Raise AudienceError if another delimiter would split the only column."""
    heading = table.header[0]
    other = max(";\t|,".replace(table.delimiter, ""), key=heading.count)
    if len(table.header) == 1 and other in heading:
        shown = 'a tab ("\\t")' if other == "\t" else repr(other)
        raise AudienceError(
            f"the file {name} has only one column if {table.delimiter!r} separates its columns, and"
            f" its first line has {shown}: set 'delimiter' to {shown}"
        )


def refuse_rows_in_header(name: str, table: Table) -> None:
    """Raise AudienceError if the only line of a file holds addresses."""
    if not table.beginning.strip() and any(map(_ADDRESS.search, table.header)):
        raise AudienceError(
            f"the file {name} has only one line, which holds addresses: give it a header line, and"
            " a line for each row that ends in LF or CR LF; check 'encoding', too"
        )


def refuse_endless_header(name: str, file: BinaryIO, table: Table, looked_at: int) -> None:
    """Raise AudienceError if the header does not end within the bytes that were looked at."""
    if not table.beginning and not table.has_line_end and file.read(1):
        raise AudienceError(
            f"the file {name} has no end of line in its first {looked_at >> 20} MB: check that"
            " it is a CSV file"
        )
