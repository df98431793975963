"""Recipients from a SQL query, streamed, values of any type as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.exc import ResourceClosedError, SQLAlchemyError

from mailsluice.audience.chunk import Chunk, find_layout
from mailsluice.audience.text import from_objects
from mailsluice.campaign import RecipientSource
from mailsluice.errors import AudienceError


def read_query(
    source: RecipientSource, connect: Callable[[str], Engine], chunk_rows: int
) -> Iterator[Chunk]:
    """Run the query on its database, `chunk_rows` rows in memory at a time.

    Raises AudienceError where the database refuses it, or where it has no e-mail column.
    """
    database = source.database or ""
    where = f"the query on the database {database!r}"
    try:
        with connect(database).connect().execution_options(yield_per=chunk_rows) as connection:
            result = connection.execute(text(_without_parameters(source.query or "")))
            layout = find_layout(list(result.keys()), source.email_column, where)
            start = 1
            for rows in result.partitions():
                numbers = np.arange(start, start + len(rows), dtype=np.int64)
                start += len(rows)
                columns = [from_objects(values) for values in zip(*rows, strict=True)]
                yield layout.chunk(numbers, columns)
    except ResourceClosedError:
        raise AudienceError(f"{where} returns no rows: write a SELECT") from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        reason = re.sub(r"\S+@\S+", "(address)", reason)  # no recipient's address in a log
        raise AudienceError(f"{where} failed: {reason}. Try it in the database's shell") from None


def _without_parameters(query: str) -> str:
    """Keep text() from taking a colon for a parameter: there is nothing to fill in."""
    return re.sub(r"(?<![:\w\\]):(?=\w)", r"\:", query)
