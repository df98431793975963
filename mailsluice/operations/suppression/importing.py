"""Importing addresses from a file or a query into the suppression list."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mailsluice.audience.address import normalise, wildcards
from mailsluice.audience.chunk import Chunk
from mailsluice.audience.engines import Connect
from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.suppression.dates import DateReader
from mailsluice.operations.suppression.headings import DATE, SOURCE, Headings
from mailsluice.operations.suppression.reasons import read_reasons
from mailsluice.store import Database, Suppressions

SHOWN_BAD_ROWS = 100
NO_ADDRESS = "not an address that mail can be sent to"
NO_PATTERNS = (
    "a wildcard such as * in the address, which stands for itself: they suppress no other mailbox."
    " To spare a whole domain, leave it out with a query as the campaign's source of recipients"
)
_MALFORMED = "not as many fields as the header"
_DAY = 86_400


@dataclass(slots=True)
class Imported:
    """The result of an import, without addresses."""

    rows: int = 0
    new: int = 0
    known: int = 0
    """Rows whose address is already on the list, or earlier in the source."""
    bad: int = 0
    bad_rows: list[tuple[int, str]] = field(default_factory=list)
    """The first bad rows: number (1 is the first row after the header), and what is wrong."""
    other_reasons: int = 0
    """Rows with an unknown reason, which got the default reason."""
    default: SuppressionReason = SuppressionReason.IMPORTED
    """The reason of rows that give none."""
    gives_reasons: bool = False
    """Whether the source has a column for reasons."""
    other_dates: int = 0
    """Rows with an unreadable date, which got the present date."""
    apostrophes: int = 0
    """Rows whose address begins with an apostrophe."""
    wildcards: int = 0
    """Rows whose address looks like a pattern."""

    def summary(self) -> str:
        """One line with the numbers."""
        parts = [f"{self.rows:,} rows: {self.new:,} new", f"{self.known:,} on the list already"]
        if self.bad:
            parts.append(f"{self.bad:,} bad")
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """Notes on rows that may not have been meant as they were read."""
        notes = [
            (self.other_reasons, "rows have an unknown reason, and got the reason in the form"),
            (self.other_dates, "rows have an unreadable date, and got today's"),
            (
                self.apostrophes,
                "rows have an address that begins with an apostrophe, which spreadsheets add: these"
                " rows suppress no recipient; correct the file and import it again",
            ),
            (self.wildcards, f"rows have {NO_PATTERNS}"),
        ]
        counted = [f"{number:,} {text}" for number, text in notes if number]
        if self.new + self.known and not self.gives_reasons:
            counted.append(
                "no column (reason, type) gives the reasons, so all rows got the one in the form:"
                f" {self.default}"
            )
        return counted


def import_suppressions(
    database: Database,
    source: RecipientSource,
    reason: SuppressionReason,
    connect: Connect,
    storages: Storages = NO_STORAGES,
) -> Imported:
    """Add the addresses of a source to the list; listed addresses keep the stronger reason.

    Each chunk is a transaction of its own; an interrupted import can be repeated.

    Args:
        database: The state database.
        source: The file or query.
        reason: The reason of rows that give none, or one that `read_reasons` does not know.
        connect: Returns the engine of a database by its name.
        storages: The storages that sources name.

    Raises:
        AudienceError: The source cannot be read.
    """
    if not source.given:
        raise AudienceError(
            "there is no source of addresses: give a file, a URL, or a query and its database"
        )
    suppressions, done = Suppressions(database), Imported(default=reason)
    chunks = partial(read_chunks, source, connect=connect, storages=storages)
    is_csv = not (source.query or source.is_parquet)
    dates = DateReader(
        time.time() + _DAY,
        lambda: (Headings(chunk.variables, is_csv=is_csv).texts(DATE) for chunk in chunks()),
    )
    where = f"import {source.file_name or f'from {source.database}'}"
    for chunk in chunks():
        good = _good(chunk, done)
        headings = Headings(chunk.variables[good.rows], is_csv=is_csv)
        rows = _rows(good.emails, headings, dates, where, done)
        with database.write() as transaction:
            new = suppressions.write(transaction, rows)
        done.new += new
        done.known += len(rows) - new
        done.rows += len(chunk.rows) + len(chunk.malformed)
    return done


class _Good(NamedTuple):
    """The rows of a chunk that have an address."""

    rows: npt.NDArray[np.bool_]
    emails: pd.Series[str]


def _good(chunk: Chunk, done: Imported) -> _Good:
    checked = normalise(chunk.email)
    good = (checked["reason"] == "").to_numpy(bool)
    bad = dict.fromkeys(chunk.rows[~good].tolist(), NO_ADDRESS)
    bad |= dict.fromkeys(chunk.malformed, _MALFORMED)
    done.bad += len(bad)
    done.bad_rows += sorted(bad.items())[: SHOWN_BAD_ROWS - len(done.bad_rows)]
    done.apostrophes += int(checked["email"].str.startswith("'").sum())
    done.wildcards += wildcards(checked["email"])
    return _Good(good, checked["email"][good])


def _rows(
    emails: pd.Series[str], headings: Headings, dates: DateReader, where: str, done: Imported
) -> list[Suppression]:
    read = read_reasons(headings)
    done.other_reasons += read.unknown
    done.gives_reasons |= read.is_given
    texts = headings.texts(DATE)
    since = dates.read(texts)
    done.other_dates += int((since.isna() & (texts != "")).sum())
    return [
        Suppression(email, why or done.default, source or where, None if math.isnan(at) else at)
        for email, why, source, at in zip(
            emails, read.reasons, headings.texts(SOURCE), since.tolist(), strict=True
        )
    ]
