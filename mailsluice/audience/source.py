"""Read recipients from their source: a CSV or Parquet file, here or at a URL, or a SQL query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mailsluice.audience.chunk import Chunk
from mailsluice.audience.csv_file import read_csv
from mailsluice.audience.engines import Connect
from mailsluice.audience.parquet_file import read_parquet
from mailsluice.audience.query import read_query
from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.files import FileError, open_named


def read_chunks(
    source: RecipientSource,
    *,
    connect: Connect,
    storages: Storages = NO_STORAGES,
    chunk_rows: int = 50_000,
) -> Iterator[Chunk]:
    """Read a source from its beginning, about `chunk_rows` rows at a time.

    `connect` turns the name of a database block into an engine; `storages` are those that sources
    name.

    Raises:
        AudienceError: At the first chunk or later, if the source cannot be read or has no e-mail
            column.
    """
    if source.query:
        yield from read_query(source, connect, chunk_rows)
        return
    if source.url:
        from mailsluice.audience.remote.fetching import fetched  # brings an HTTP client

        with fetched(source, storages) as remote:
            yield from _read(
                remote.file, source.label, source, chunk_rows, is_parquet=remote.is_parquet
            )
        return
    path = Path(source.path or "")
    try:
        with open_named(path) as file:
            yield from _read(file, str(path), source, chunk_rows, is_parquet=source.is_parquet)
    except FileError as error:
        raise AudienceError(f"the file {path} cannot be read: {error}") from None
    except OSError as error:
        raise AudienceError(
            f"the file {path} cannot be opened ({error.strerror}): give the path of a CSV or "
            "Parquet file as the worker sees it"
        ) from None


def _read(
    file: BinaryIO, name: str, source: RecipientSource, chunk_rows: int, *, is_parquet: bool
) -> Iterator[Chunk]:
    if is_parquet:
        return read_parquet(file, name, source, chunk_rows)
    return read_csv(file, name, source)
