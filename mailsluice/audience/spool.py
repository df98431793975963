"""Keep rows on disk between reading and sending: written in one order, read back in another.

Writing and reading both go through files from front to back. So memory is bounded by a bucket of
rows, and a hard disk or a cold page cache does not cost a seek for each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BUCKET_ROWS = 1 << 16
_MAX_BUCKETS = 128  # each is an open file; with more than 8 million rows the buckets grow instead
_PLACE = "place"


class Spool:
    """A table in a file of its own (Arrow IPC stream): append, then read."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._file, schema)

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows after those written before."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """End writing."""
        self._writer.close()
        self._file.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the batches in the order in which they were written."""
        with pa.OSFile(str(self._path), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield from reader

    def arranged(
        self, place: npt.NDArray[np.int32], columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Read some columns with the rows in another order, in batches of usually 65,536 rows.

        Needs about as much disk space again.

        Args:
            place: (rows written,), the new place of each row: 0, 1, 2, ... without a gap, and a
                negative number for a row that is left out.
            columns: The names of the columns.
        """
        count = int(place.max(initial=-1)) + 1
        bucket_rows = max(_BUCKET_ROWS, -(-count // _MAX_BUCKETS))
        with TemporaryDirectory(dir=self._path.parent) as directory:
            paths = [Path(directory, str(i)) for i in range(-(-count // bucket_rows))]
            self._scatter(place, bucket_rows, paths, columns)
            for path in paths:
                with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
                    rows = reader.read_all().combine_chunks().to_batches()[0]
                path.unlink()
                yield rows.take(np.argsort(rows[_PLACE].to_numpy())).select(columns)

    def _scatter(
        self,
        place: npt.NDArray[np.int32],
        bucket_rows: int,
        paths: Sequence[Path],
        columns: Sequence[str],
    ) -> None:
        schema = pa.schema([*map(self._schema.field, columns), pa.field(_PLACE, pa.int32())])
        start = 0
        with ExitStack() as stack:
            writers = []
            for path in paths:
                file = stack.enter_context(pa.OSFile(str(path), "wb"))
                writers.append(stack.enter_context(pa.ipc.new_stream(file, schema)))
            for batch in self._gathered(bucket_rows, columns):
                places = place[start : start + batch.num_rows]
                start += batch.num_rows
                for bucket, rows in _by_bucket(places // bucket_rows):
                    part = [*batch.take(rows).columns, pa.array(places[rows])]
                    writers[bucket].write_batch(pa.record_batch(part, schema=schema))

    def _gathered(self, bucket_rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read batches of at least a bucket's size, so that buckets are not made of tiny pieces."""
        waiting: list[pa.RecordBatch] = []
        for batch in self.batches():
            waiting.append(batch.select(columns))
            if sum(part.num_rows for part in waiting) >= bucket_rows:
                yield pa.concat_batches(waiting)
                waiting.clear()
        if waiting:
            yield pa.concat_batches(waiting)


def _by_bucket(bucket: npt.NDArray[np.int32]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield each bucket with its rows; rows of negative buckets are left out."""
    rows = np.argsort(bucket, kind="stable")
    numbers, starts = np.unique(bucket[rows], return_index=True)
    ends = np.append(starts, len(rows))[1:]
    for number, start, end in zip(numbers, starts, ends, strict=True):
        if number >= 0:
            yield int(number), rows[start:end]
