"""Read recipients from a SQL query, streamed, values of any type as text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from sqlalchemy.exc import ResourceClosedError, SQLAlchemyError

from mailsluice.audience.chunk import Chunk, find_layout
from mailsluice.audience.engines import Connect
from mailsluice.audience.read_only import answer, is_refused_write
from mailsluice.audience.text import from_objects
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.masking import masked


def read_query(source: RecipientSource, connect: Connect, chunk_rows: int) -> Iterator[Chunk]:
    """Run the query, which can only read; `chunk_rows` rows are in memory at a time.

    Raises AudienceError if the database refuses the query, or the result has no e-mail column.
    """
    where = f"the query on the database {source.database!r}"
    try:
        with answer(connect(source.database or ""), source.query or "", chunk_rows) as (
            names,
            parts,
        ):
            layout = find_layout(names, source.address_column, where, renamed=source.renamed)
            start = 1
            for rows in parts:
                numbers = np.arange(start, start + len(rows), dtype=np.int64)
                start += len(rows)
                columns = [from_objects(values) for values in zip(*rows, strict=True)]
                yield layout.chunk(numbers, columns)
    except ResourceClosedError:
        raise AudienceError(f"{where} returns no rows: write a SELECT") from None
    except SQLAlchemyError as error:
        raise _refused(where, error) from None


_VALUE = re.compile(r"(with text |invalid input (?:syntax|value) for [^:]*: ).*")
"""Matches the part of an error with which SQLite and PostgreSQL quote an unreadable value."""


def _refused(where: str, error: SQLAlchemyError) -> AudienceError:
    cause = getattr(error, "orig", None)
    if is_refused_write(cause):
        return AudienceError(
            f"{where} does more than read, and the database refused that: write one SELECT"
        )
    reason = str(cause or error).splitlines()[0]
    reason = _VALUE.sub(r"\1(its value)", masked(reason))  # since the message may be logged
    return AudienceError(f"{where} failed: {reason}. Try it in the database's shell")
