"""Recipients from a Parquet file, in chunks, columns of any type as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from mailsluice.audience.chunk import Chunk, find_layout
from mailsluice.audience.text import to_text
from mailsluice.campaign import RecipientSource
from mailsluice.errors import AudienceError


def read_parquet(path: Path, source: RecipientSource, chunk_rows: int) -> Iterator[Chunk]:
    """Read a Parquet file.

    Raises AudienceError where it is no Parquet file, has no e-mail column, or holds bytes that are
    no text.
    """
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            layout = find_layout(names, source.email_column, f"the file {path}")
            start = 1
            for batch in file.iter_batches(batch_size=chunk_rows, use_threads=False):
                rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
                start += batch.num_rows
                yield layout.chunk(rows, [to_text(column) for column in batch.columns])
    except (pa.ArrowException, OSError) as error:
        raise AudienceError(
            f"the file {path} cannot be read as Parquet ({str(error).splitlines()[0]}): "
            "write it anew, or give a CSV file"
        ) from None
