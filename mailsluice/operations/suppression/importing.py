"""A list from elsewhere, onto the list of suppressions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.audience.chunk import Chunk
from mailsluice.audience.engines import Connect
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason, reason_of
from mailsluice.store import Database, Suppressions

SHOWN_BAD_ROWS = 100
NO_ADDRESS = "no address that mail could be sent to"
_MALFORMED = "not as many fields as the header"
_REASON = ("reason", "type")
_SOURCE = ("source",)
_DATE = ("date", "created", "createdat", "lastupdatetime", "timestamp")
"""Names of columns, letters alone, as exports of the usual providers have them."""
_MILLISECONDS = 1e11  # as seconds that would be the year 5138


@dataclass(slots=True)
class Imported:
    """What became of the rows of a list. No addresses."""

    rows: int = 0
    new: int = 0
    known: int = 0
    """On the list already, or several times in the source."""
    bad: int = 0
    bad_rows: list[tuple[int, str]] = field(default_factory=list)
    """The first of them: data row (the first one after the header is 1), and what is wrong."""
    other_reasons: int = 0
    """Rows with a reason that is none of ours: taken with the one given for those without."""
    other_dates: int = 0
    """Rows with a date that is none: taken with today's."""
    apostrophes: int = 0
    """Rows whose address begins with one."""

    def summary(self) -> str:
        """One line: how many."""
        parts = [f"{self.rows:,} rows: {self.new:,} new", f"{self.known:,} on the list already"]
        if self.bad:
            parts.append(f"{self.bad:,} bad")
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """What the reader should know besides."""
        told = [
            (self.other_reasons, "rows have a reason that is not known, and got the form's"),
            (self.other_dates, "rows have a date that is none, and got today's"),
            (
                self.apostrophes,
                "rows have an address that begins with an apostrophe, as spreadsheets put one"
                " before a text: correct the list, or these rows suppress nobody",
            ),
        ]
        return [f"{number:,} {text}" for number, text in told if number]


def import_suppressions(
    database: Database,
    source: RecipientSource,
    reason: SuppressionReason,
    connect: Connect,
) -> Imported:
    """Put the addresses of a source on the list; those that are there stay as they are.

    `reason` is that of rows that say none; see `reason_of` for what the others may say. A chunk is
    a transaction: an import that broke off is done again. Raises AudienceError where the source
    cannot be read.
    """
    if not source.given:
        raise AudienceError("there are no addresses: give a file, or a query and its database")
    suppressions, done = Suppressions(database), Imported()
    where = f"import {PurePath(source.path).name if source.path else f'from {source.database}'}"
    for chunk in read_chunks(source, connect=connect):
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
    """The first column of one of these names; empty texts where there is none."""
    found = {re.sub(r"[^a-z]", "", name.lower()): name for name in reversed(given.columns)}
    for name in names:
        if name in found:
            return given[found[name]].str.strip()
    return pd.Series("", index=given.index, dtype="str")


def _reasons(
    texts: pd.Series[str], default: SuppressionReason, done: Imported
) -> list[SuppressionReason]:
    known = {text: reason_of(text) for text in texts.unique()}
    done.other_reasons += sum(bool(text) and known[text] is None for text in texts)
    return [known[text] or default for text in texts]


def _dates(texts: pd.Series[str], done: Imported) -> list[float | None]:
    """Seconds since the epoch: of ISO 8601, RFC 5322, or such seconds (or milliseconds)."""
    if not texts.any():
        return [None] * len(texts)
    numbers = pd.to_numeric(texts, errors="coerce")
    seconds = numbers.where(numbers < _MILLISECONDS, numbers / 1_000)
    words = texts.where(numbers.isna(), "")
    moments = pd.to_datetime(words, errors="coerce", utc=True, format="mixed")
    epoch = pd.Timestamp(0, tz="UTC")
    seconds = seconds.fillna((moments - epoch) / pd.Timedelta(seconds=1))
    done.other_dates += int((seconds.isna() & (texts != "")).sum())
    return [None if pd.isna(second) else float(second) for second in seconds]
