"""Rows on disk between reading and sending: written in one order, read back in another.

Both ways go through the file from front to back, so memory is bounded by one bucket, and a hard
disk or a cold page cache costs no seek a row.
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
_MAX_BUCKETS = 128  # each is an open file: beyond 8 million rows they grow
_PLACE = "place"


class Spool:
    """A table in a file of its own (Arrow IPC stream): append, then read."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._file, schema)

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows after those already there."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """End writing."""
        self._writer.close()
        self._file.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows in the order they were written, as the batches they were written in."""
        with pa.OSFile(str(self._path), "rb") as file, pa.ipc.open_stream(file) as reader:
            yield from reader

    def arranged(
        self, place: npt.NDArray[np.int32], columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """Read some columns in another order of the rows, a bucket (usually 65,536 rows) a batch.

        `place` (rows written,) has the new place of each row, a negative number for the rows to
        leave out; the places are 0, 1, 2, ... without a gap. Takes about as much disk space again.
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
        """Read batches of a bucket's size, so that a bucket is not made of tiny pieces."""
        waiting: list[pa.RecordBatch] = []
        for batch in self.batches():
            waiting.append(batch.select(columns))
            if sum(one.num_rows for one in waiting) >= bucket_rows:
                yield pa.concat_batches(waiting)
                waiting.clear()
        if waiting:
            yield pa.concat_batches(waiting)


def _by_bucket(bucket: npt.NDArray[np.int32]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Rows by the bucket (negative: none) that they go to."""
    rows = np.argsort(bucket, kind="stable")
    numbers, starts = np.unique(bucket[rows], return_index=True)
    ends = np.append(starts, len(rows))[1:]
    for number, start, end in zip(numbers, starts, ends, strict=True):
        if number >= 0:
            yield int(number), rows[start:end]
