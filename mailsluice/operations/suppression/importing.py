"""Importing addresses from a file or a query into the suppression list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.audience.chunk import Chunk
from mailsluice.audience.engines import Connect
from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason, reason_of
from mailsluice.store import Database, Suppressions

SHOWN_BAD_ROWS = 100
NO_ADDRESS = "not an address that mail can be sent to"
_MALFORMED = "not as many fields as the header"
_REASON = ("reason", "type")
_SOURCE = ("source",)
_DATE = ("date", "created", "createdat", "lastupdatetime", "timestamp")
"""Names of columns in the exports of common providers, reduced to letters."""
_MILLISECONDS = 1e11  # as seconds, this would be the year 5138


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
    other_dates: int = 0
    """Rows with an unreadable date, which got the present date."""
    apostrophes: int = 0
    """Rows whose address begins with an apostrophe."""

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
        ]
        return [f"{number:,} {text}" for number, text in notes if number]


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
        reason: The reason of rows that give none, or one that `reason_of` does not know.
        connect: Returns the engine of a database by its name.
        storages: The storages that sources name.

    Raises:
        AudienceError: The source cannot be read.
    """
    if not source.given:
        raise AudienceError(
            "there is no source of addresses: give a file, a URL, or a query and its database"
        )
    suppressions, done = Suppressions(database), Imported()
    where = f"import {source.file_name or f'from {source.database}'}"
    for chunk in read_chunks(source, connect=connect, storages=storages):
        rows = _rows(chunk, reason, where, done)
        with database.write() as transaction:
            new = suppressions.write(transaction, rows)
        done.new += new
        done.known += len(rows) - new
        done.rows += len(chunk.rows) + len(chunk.malformed)
    return done


def _rows(chunk: Chunk, reason: SuppressionReason, where: str, done: Imported) -> list[Suppression]:
    checked = normalise(chunk.email)
    good = (checked["reason"] == "").to_numpy(bool)
    bad = dict.fromkeys(chunk.rows[~good].tolist(), NO_ADDRESS)
    bad |= dict.fromkeys(chunk.malformed, _MALFORMED)
    done.bad += len(bad)
    done.bad_rows += sorted(bad.items())[: SHOWN_BAD_ROWS - len(done.bad_rows)]
    done.apostrophes += int(checked["email"].str.startswith("'").sum())
    given = chunk.variables[good]
    sources = _column(given, _SOURCE)
    return [
        Suppression(email, why, source or where, at)
        for email, why, source, at in zip(
            checked["email"][good],
            _reasons(_column(given, _REASON), reason, done),
            sources,
            _dates(_column(given, _DATE), done),
            strict=True,
        )
    ]


def _column(given: pd.DataFrame, names: Sequence[str]) -> pd.Series[str]:
    """The first column with one of these names, or a column of empty texts."""
    by_name = {re.sub(r"[^a-z]", "", name.lower()): name for name in reversed(given.columns)}
    for name in names:
        if name in by_name:
            return given[by_name[name]].str.strip()
    return pd.Series("", index=given.index, dtype="str")


def _reasons(
    texts: pd.Series[str], default: SuppressionReason, done: Imported
) -> list[SuppressionReason]:
    known = {text: reason_of(text) for text in texts.unique()}
    done.other_reasons += sum(bool(text) and known[text] is None for text in texts)
    return [known[text] or default for text in texts]


def _dates(texts: pd.Series[str], done: Imported) -> list[float | None]:
    """Seconds since the epoch, from ISO 8601, RFC 5322, seconds or milliseconds."""
    if not texts.any():
        return [None] * len(texts)
    numbers = pd.to_numeric(texts, errors="coerce")
    seconds = numbers.where(numbers < _MILLISECONDS, numbers / 1_000)
    words = texts.where(numbers.isna(), "")
    moments = pd.to_datetime(words, errors="coerce", utc=True, format="mixed")
    epoch = pd.Timestamp(0, tz="UTC")
    seconds = seconds.fillna((moments - epoch) / pd.Timedelta(seconds=1))
    done.other_dates += int((seconds.isna() & (texts != "")).sum())
    return [None if pd.isna(moment) else float(moment) for moment in seconds]
