"""Read recipients from a CSV file, in chunks, every value as written in the file."""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mailsluice.audience.chunk import TEXT, Chunk, Layout, find_layout
from mailsluice.audience.csv_beginning import (
    Table,
    begin,
    delimiter_of,
    encoding_of,
    refuse_endless_header,
    refuse_other_delimiter,
    refuse_other_files,
    refuse_rows_in_header,
)
from mailsluice.audience.csv_text import OpenQuoteError, checked, pieces, place_of
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.spreadsheet import from_text

_BLOCK_BYTES = 1 << 21
_PIECE_BYTES = 1 << 18  # decoded and checked at a time, after the first piece
_MAX_SKIPPED = 1 << 26  # characters of consecutive rows that do not fit the header


def read_csv(file: BinaryIO, name: str, source: RecipientSource) -> Iterator[Chunk]:
    """Read a CSV file, a few ten thousand rows at a time; blank lines are not rows.

    A first line `sep=;` declares the delimiter. A row may end in one delimiter more than the
    header, or one less. Any other row with too many or too few fields is reported as malformed.
    `name` is that of the file in messages.

    Raises:
        AudienceError: The file cannot be decoded, has no header or no e-mail column, or leaves a
            quote open. The message quotes nothing from the file.
    """
    encoding = encoding_of(source.encoding)
    refuse_other_files(name, file, encoding)
    try:
        text = pieces(file, encoding, _BLOCK_BYTES, min(_PIECE_BYTES, _BLOCK_BYTES))
        table = begin(name, next(text, ""), delimiter_of(source))
        heading = checked(iter([table.heading]), table.delimiter, table.start, _BLOCK_BYTES)
        deque(heading, maxlen=0)
        layout = _layout(name, table, source)
        refuse_endless_header(name, file, table, _BLOCK_BYTES)
        refuse_rows_in_header(name, table)
        yield from _chunks(table, chain([table.beginning], text), layout)
    except UnicodeError:
        raise _undecodable(name, file, source.encoding) from None
    except OpenQuoteError as error:
        place = place_of(file, encoding, table.delimiter, table.start, error.offset)
        raise _left_open(name, *place) from None
    except pa.ArrowInvalid:
        raise AudienceError(
            f"the file {name} cannot be read as CSV: a row is longer than"
            f" {_BLOCK_BYTES >> 20} MB, or nearly all have more or fewer fields than the first."
            f" Check that {table.delimiter!r} is what separates its columns, and that its lines"
            " have ends"
        ) from None


def csv_header(file: BinaryIO, name: str, source: RecipientSource) -> list[str]:
    """Return the names of a CSV file's columns. Raises AudienceError as `read_csv` does."""
    encoding = encoding_of(source.encoding)
    refuse_other_files(name, file, encoding)
    try:
        text = next(pieces(file, encoding, _BLOCK_BYTES, _PIECE_BYTES), "")
    except UnicodeError:
        raise _undecodable(name, file, source.encoding) from None
    table = begin(name, text, delimiter_of(source))
    refuse_other_delimiter(name, table)
    return table.header


def _layout(name: str, table: Table, source: RecipientSource) -> Layout:
    try:
        return find_layout(
            table.header,
            source.address_column,
            f"the file {name}",
            may_be_anything=True,
            renamed=source.renamed,
        )
    except AudienceError:
        refuse_other_delimiter(name, table)
        raise


def _left_open(name: str, row: int, line: int) -> AudienceError:
    place = f"row {row}" if row else "the header"
    return AudienceError(
        f"the file {name} has a quote that is never closed: it opens in {place} (line {line}), and"
        " the text after it would be part of the value. Close the quote, or double it if it belongs"
        " to the value"
    )


def _chunks(table: Table, texts: Iterator[str], layout: Layout) -> Iterator[Chunk]:
    skipped: dict[int, str] = {}
    characters = 0  # of the skipped rows

    def skip(row: Any) -> str:
        nonlocal characters
        skipped[row.number] = row.text
        characters += len(row.text)
        return "skip" if characters < _MAX_SKIPPED else "error"

    stream = _Stream(checked(texts, table.delimiter, table.first, _BLOCK_BYTES))
    try:
        reader = _open(stream, table, skip)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):  # a header and nothing after it
            return
        raise
    start = 1
    for batch in reader:
        rows = _numbers(start, batch.num_rows, skipped)
        start = int(rows[-1]) + 1 if len(rows) else start
        while start in skipped:
            start += 1
        before = {row: skipped.pop(row) for row in list(skipped) if row < start}
        characters = sum(map(len, skipped.values()))
        if len(rows) or before:
            yield _chunk(table, layout, rows, batch.columns, before)
    if skipped:
        yield _chunk(table, layout, np.empty(0, np.int64), [], skipped)


def _chunk(
    table: Table,
    layout: Layout,
    rows: np.ndarray[Any, Any],
    columns: list[pa.Array],
    skipped: dict[int, str],
) -> Chunk:
    """Make a chunk from the parser's rows and those that it skipped, which may be malformed."""
    columns = columns or [pa.array([], TEXT)] * len(table.names)
    malformed: dict[int, str] = {}
    if table.has_ends:
        rows, columns, malformed = _without_ends(table, rows, columns)
    read = {row: fields for row, text in skipped.items() if (fields := table.fields(text))}
    malformed |= {row: text for row, text in skipped.items() if row not in read}
    if read:
        added = [pa.array(values, TEXT) for values in zip(*read.values(), strict=True)]
        rows = np.append(rows, list(read))
        order = np.argsort(rows)
        rows = rows[order]
        columns = [
            pa.concat_arrays(both).take(pa.array(order))
            for both in zip(columns, added, strict=True)
        ]
    columns[layout.email] = from_text(columns[layout.email])
    return layout.chunk(rows, columns, malformed)


def _without_ends(
    table: Table, rows: np.ndarray[Any, Any], columns: list[pa.Array]
) -> tuple[np.ndarray[Any, Any], list[pa.Array], dict[int, str]]:
    """Remove the column after the last delimiter; rows with a value in it are malformed."""
    is_empty = pc.equal(pc.utf8_trim_whitespace(columns[-1]), "")
    if pc.all(is_empty).as_py():
        return rows, columns[:-1], {}
    fits = is_empty.to_numpy(zero_copy_only=False)
    has_value = pc.invert(is_empty)
    others = zip(*(column.filter(has_value).to_pylist() for column in columns), strict=True)
    texts = map(table.delimiter.join, others)
    kept = [column.filter(is_empty) for column in columns[:-1]]
    return rows[fits], kept, dict(zip(rows[~fits].tolist(), texts, strict=True))


class _Stream:
    """A file of bytes that Arrow reads, made from pieces of text."""

    closed = False

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end: Arrow cannot read a row cut into three.

        One byte less where CR and LF would be parted: at the beginning of a block Arrow drops an LF
        whose CR ended the block before, in a quoted value too.
        """
        parts, length = [self._waiting], len(self._waiting)
        while length <= size and (text := next(self._texts, None)) is not None:
            parts.append(text.encode())
            length += len(parts[-1])
        whole = b"".join(parts)
        if size > 1 and whole[size - 1 : size + 1] == b"\r\n":
            size -= 1
        self._waiting = whole[size:]
        return whole[:size]

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Do nothing: who opened the file closes it."""


def _open(stream: _Stream, table: Table, skip: Any) -> Any:
    return arrow_csv.open_csv(
        stream,
        read_options=arrow_csv.ReadOptions(
            use_threads=False,  # with threads, malformed rows come without their number
            block_size=_BLOCK_BYTES,
            column_names=table.names,
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=table.delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(table.names, TEXT),
            strings_can_be_null=False,
            check_utf8=False,  # the bytes are encoded from text
        ),
    )


def _numbers(start: int, count: int, skipped: dict[int, str]) -> np.ndarray[Any, Any]:
    """Return the next `count` row numbers from `start` that are not skipped."""
    numbers = np.arange(start, start + count + len(skipped), dtype=np.int64)
    return numbers[~np.isin(numbers, list(skipped))][:count]


def _undecodable(name: str, file: BinaryIO, encoding: str) -> AudienceError:
    """Say which byte cannot be decoded, and in which line of the text.

    Bytes are no measure of lines: in UTF-16 a letter may have the byte of a line feed.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    what, line, held = "ends in the middle of a character", 1, ""
    file.seek(0)
    for part in iter(lambda: file.read(_PIECE_BYTES), b""):
        before = decoder.getstate()
        try:
            text = held + decoder.decode(part)
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError) and "BOM" not in error.reason:
                decoder.setstate(before)
                line += _line_ends(held + _text_before_fault(decoder, part))
                what = f"has the byte 0x{error.object[error.start]:02x} in line {line}"
            else:  # Python 3.13 tells it by a UnicodeDecodeError, too
                what = "does not begin with a byte order mark"
            break
        held = "\r" if text.endswith("\r") else ""  # the next part may begin with its LF
        line += _line_ends(text.removesuffix("\r"))
    return AudienceError(
        f"the file {name} {what}, which is not {encoding}: save it as UTF-8, or name its encoding "
        "in 'encoding' (spreadsheets often write cp1252)"
    )


def _text_before_fault(decoder: codecs.IncrementalDecoder, part: bytes) -> str:
    """Decode what is before the fault of a part that cannot be decoded."""
    state = decoder.getstate()

    def fails(size: int) -> bool:
        decoder.setstate(state)
        try:
            decoder.decode(part[:size])
        except UnicodeError:
            return True
        return False

    size = bisect_left(range(len(part)), True, key=fails)
    decoder.setstate(state)
    return decoder.decode(part[: size - 1])


def _line_ends(text: str) -> int:
    """Count LF, CR and CR LF."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")
