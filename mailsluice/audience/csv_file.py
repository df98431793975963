"""Recipients from a CSV file, in chunks, every value as it is written there."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mailsluice.audience.chunk import TEXT, Chunk, Layout, find_layout
from mailsluice.campaign import RecipientSource
from mailsluice.errors import AudienceError

_BLOCK_BYTES = 1 << 21


def read_csv(path: Path, source: RecipientSource) -> Iterator[Chunk]:
    """Read a CSV file, a few ten thousand rows at a time; blank lines are no rows.

    Raises AudienceError where it cannot be decoded, has no header or no e-mail column, or where
    quotes are left open. A row with too many or too few fields is reported as malformed.
    """
    delimiter = _delimiter(path, source)
    try:
        header = _header(path, source.encoding, delimiter)
        layout = find_layout(header, source.email_column, f"the file {path}")
        yield from _chunks(path, source.encoding, delimiter, header, layout)
    except UnicodeDecodeError:
        raise _undecodable(path, source.encoding) from None
    except pa.ArrowInvalid:
        raise AudienceError(
            f"the file {path} cannot be read as CSV (a row is longer than "
            f"{_BLOCK_BYTES >> 20} MB, or broken): look for a quote that is never closed, and "
            f"check that {delimiter!r} is what separates its columns"
        ) from None


def _delimiter(path: Path, source: RecipientSource) -> str:
    given = "delimiter" in source.model_fields_set
    return "\t" if path.suffix.lower() == ".tsv" and not given else source.delimiter


def _encoding(name: str) -> str:
    """The encoding to open with: a byte order mark before UTF-8 is not part of the first name.

    It also makes Arrow check UTF-8 before parsing, not after.
    """
    return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    with path.open(encoding=_encoding(encoding), newline="") as file:
        try:
            for fields in csv.reader(file, delimiter=delimiter):
                if fields:
                    return fields
        except csv.Error as error:
            raise AudienceError(f"the first line of {path} is no CSV header: {error}") from None
    raise AudienceError(f"the file {path} is empty: give it a header line and a row a recipient")


def _chunks(
    path: Path, encoding: str, delimiter: str, header: list[str], layout: Layout
) -> Iterator[Chunk]:
    malformed: dict[int, str] = {}

    def skip(row: Any) -> str:
        malformed[row.number - 1] = row.text  # the header is row 1
        return "skip"

    try:
        reader = _open(path, encoding, delimiter, header, skip)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):  # a header and nothing after it
            return
        raise
    start = 1
    for batch in reader:
        if batch.num_rows:
            rows = _numbers(start, batch.num_rows, malformed)
            start = int(rows[-1]) + 1
            before = {row: malformed.pop(row) for row in list(malformed) if row < start}
            yield layout.chunk(rows, batch.columns, before)
    if malformed:
        nothing = [pa.array([], TEXT)] * len(header)
        yield layout.chunk(np.empty(0, np.int64), nothing, malformed)


def _open(path: Path, encoding: str, delimiter: str, header: list[str], skip: Any) -> Any:
    return arrow_csv.open_csv(
        path,
        read_options=arrow_csv.ReadOptions(
            use_threads=False,  # or malformed rows come without their number
            block_size=_BLOCK_BYTES,
            encoding=_encoding(encoding),
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, TEXT), strings_can_be_null=False
        ),
    )


def _numbers(start: int, count: int, malformed: dict[int, str]) -> np.ndarray[Any, Any]:
    """The next `count` row numbers from `start` that are not malformed."""
    numbers = np.arange(start, start + count + len(malformed), dtype=np.int64)
    return numbers[~np.isin(numbers, list(malformed))][:count]


def _undecodable(path: Path, encoding: str) -> AudienceError:
    decoder = codecs.getincrementaldecoder(encoding)()
    what = "ends in the middle of a character"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                what = f"has the byte 0x{error.object[error.start]:02x} in line {number}"
                break
    return AudienceError(
        f"the file {path} {what}, which is not {encoding}: save it as UTF-8, or name its encoding "
        "in 'encoding' (spreadsheets often write cp1252)"
    )
