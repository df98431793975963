"""Read recipients from a Parquet file, in chunks, columns of any type as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mailsluice.audience.chunk import Chunk, find_layout
from mailsluice.audience.text import to_text
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError

_MAX_FOOTER_BYTES = 1 << 26
"""About a million columns in all row groups together. The footer is read as a whole."""


def read_parquet(
    opened: BinaryIO, name: str, source: RecipientSource, chunk_rows: int
) -> Iterator[Chunk]:
    """Read a Parquet file, `chunk_rows` rows at a time; `name` is that of the file in messages.

    Raises:
        AudienceError: The file is not in Parquet, has no e-mail column, or holds bytes that are not
            text. The message quotes nothing from the file.
    """
    _refuse_large_footer(name, opened)
    try:
        with parquet.ParquetFile(opened) as file:
            layout = find_layout(
                file.schema_arrow.names,
                source.address_column,
                f"the file {name}",
                may_be_anything=True,
                renamed=source.renamed,
            )
            start = 1
            for batch in file.iter_batches(batch_size=chunk_rows, use_threads=False):
                rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
                start += batch.num_rows
                yield layout.chunk(rows, [to_text(column) for column in batch.columns])
    except (pa.ArrowException, OSError, UnicodeError):
        raise _unreadable(name) from None


def _unreadable(name: str) -> AudienceError:
    return AudienceError(
        f"the file {name} cannot be read as Parquet: it is damaged, in another format, or has bytes"
        " that are not text. Write the file again, or give a CSV file"
    )


def parquet_header(opened: BinaryIO, name: str) -> list[str]:
    """Return the names of a Parquet file's columns. Raises AudienceError as `read_parquet` does."""
    _refuse_large_footer(name, opened)
    try:
        with parquet.ParquetFile(opened) as file:
            return [*file.schema_arrow.names]
    except (pa.ArrowException, OSError, UnicodeError):
        raise _unreadable(name) from None


def _refuse_large_footer(name: str, file: BinaryIO) -> None:
    """Check the footer's length, which the last eight bytes hold, before the footer is read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    length, magic = file.read(4), file.read(4)
    file.seek(0)
    if magic == b"PAR1" and int.from_bytes(length, "little") > _MAX_FOOTER_BYTES:
        raise AudienceError(
            f"the file {name} has a description of its columns of more than"
            f" {_MAX_FOOTER_BYTES >> 20} MB: write it with fewer columns, or in larger row groups"
        )
