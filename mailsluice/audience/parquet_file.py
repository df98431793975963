"""Read recipients from a Parquet file, in chunks, columns of any type as text.

A file may have columns that are not text, such as photos. They are left out, since a message hardly
ever uses them; one that is needed is refused by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from mailsluice.audience.chunk import Chunk, Layout, find_layout
from mailsluice.audience.text import to_text
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError

_MAX_FOOTER_BYTES = 1 << 26
"""About a million columns in all row groups together. The footer is read as a whole."""
_ROWS_OF_BYTES = 1_000
"""Rows of a column of bytes, which may be photos, that are read at a time to look at them."""
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def read_parquet(
    opened: BinaryIO, name: str, source: RecipientSource, chunk_rows: int
) -> Iterator[Chunk]:
    """Read a Parquet file, `chunk_rows` rows at a time; `name` is that of the file in messages.

    Raises:
        AudienceError: The file is not in Parquet, has no e-mail column, or its e-mail column or a
            renamed one is not text. The message quotes no value.
    """
    _refuse_large_footer(name, opened)
    try:
        with parquet.ParquetFile(opened) as file:
            names = file.schema_arrow.names
            whole = find_layout(
                names,
                source.address_column,
                f"the file {name}",
                may_be_anything=True,
                renamed=source.renamed,
            )
            layout = _of_text(file, whole)
            left_out = tuple(whole.variables.keys() - layout.variables.keys())
            _refuse_needed(name, source, left_out, has_email=_is_text(file, layout.email))
            places = (layout.email, *layout.variables.values())
            read, start = [names[place] for place in places], 1
            for batch in file.iter_batches(chunk_rows, columns=read, use_threads=False):
                rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
                start += batch.num_rows
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                texts = {place: to_text(columns[names[place]]) for place in places}
                yield replace(layout.chunk(rows, texts), left_out=left_out)
    except (pa.ArrowException, OSError, UnicodeError):
        raise _unreadable(name) from None


def _of_text(file: parquet.ParquetFile, layout: Layout) -> Layout:
    """Leave variables out that are not text."""
    variables = {name: at for name, at in layout.variables.items() if _is_text(file, at)}
    return Layout(layout.email, variables)


def _is_text(file: parquet.ParquetFile, place: int) -> bool:
    """Whether a column can be text: by its type, and where this is bytes, by all of its values."""
    column = file.schema_arrow.field(place)
    try:
        to_text(pa.nulls(0, column.type))
        if _has_bytes(column.type):
            parts = file.iter_batches(_ROWS_OF_BYTES, columns=[column.name], use_threads=False)
            return not any(_has_zeros(to_text(part[column.name])) for part in parts)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, orjson.JSONEncodeError):
        return False
    return True


def _has_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes, as which many programs write texts, or contain some."""
    if pa.types.is_dictionary(kind):
        return _has_bytes(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and _has_bytes(kind.storage_type)
    if pa.types.is_nested(kind):
        return any(_has_bytes(kind.field(at).type) for at in range(kind.num_fields))
    return any(is_kind(kind) for is_kind in _BYTES)


def _has_zeros(texts: pa.Array) -> bool:
    """Whether there is a NUL: numbers that are written as bytes have many, and texts have none."""
    count: int = pc.match_substring(texts, "\0").true_count
    return count > 0


def _refuse_needed(
    name: str, source: RecipientSource, left_out: Collection[str], *, has_email: bool
) -> None:
    """Raise AudienceError if the e-mail column, or one that `columns` names, is not text."""
    needed = [heading for heading, variable in source.renamed.items() if variable in left_out]
    if not has_email:
        needed.insert(0, source.address_column)
    if needed:
        raise AudienceError(
            f"the column {needed[0]!r} of the file {name} has values that are not text, such as"
            " photos or binary keys: write it as text, or name another column"
        )


def _unreadable(name: str) -> AudienceError:
    return AudienceError(
        f"the file {name} cannot be read as Parquet: it is damaged, in another format, or has text"
        " that is not UTF-8. Write the file again, or give a CSV file"
    )


def parquet_header(opened: BinaryIO, name: str) -> list[str]:
    """Return the names of a Parquet file's columns of text, as `read_parquet` reads them.

    Raises AudienceError if the file is not in Parquet.
    """
    _refuse_large_footer(name, opened)
    try:
        with parquet.ParquetFile(opened) as file:
            names = file.schema_arrow.names
            return [column for place, column in enumerate(names) if _is_text(file, place)]
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
