"""Read recipients from their source: a CSV file, a Parquet file, or a SQL query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mailsluice.audience.chunk import Chunk
from mailsluice.audience.csv_file import read_csv
from mailsluice.audience.engines import Connect
from mailsluice.audience.parquet_file import read_parquet
from mailsluice.audience.query import read_query
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.files import FileError


def read_chunks(
    source: RecipientSource, *, connect: Connect, chunk_rows: int = 50_000
) -> Iterator[Chunk]:
    """Read a source from its beginning, about `chunk_rows` rows at a time.

    `connect` turns the name of a database block into an engine.

    Raises:
        AudienceError: At the first chunk or later, if the source cannot be read or has no e-mail
            column.
    """
    if source.query:
        yield from read_query(source, connect, chunk_rows)
        return
    path = Path(source.path or "")
    try:
        reader = (
            read_parquet(path, source, chunk_rows) if source.is_parquet else read_csv(path, source)
        )
        yield from reader
    except FileError as error:
        raise AudienceError(f"the file {path} cannot be read: {error}") from None
    except OSError as error:
        raise AudienceError(
            f"the file {path} cannot be opened ({error.strerror}): give the path of a CSV or "
            "Parquet file as the worker sees it"
        ) from None
