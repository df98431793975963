"""Importing the events of a file, as if the provider had pushed them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from mailsluice.campaign.identity import Provider
from mailsluice.core.markdown import cell, section, table
from mailsluice.core.table_file import check_path, write_tables
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.operations.events.matching import match
from mailsluice.operations.events.reading import EventFile, Row, read_rows
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries, Received, Recorded

BATCH = 5_000
"""Events after which they are recorded, in one transaction; a line of JSON may add thousands."""
SHOWN_BAD_ROWS = 100
SHOWN_FIRST = 5
MOST_BAD_ROWS = 200_000
"""Bad rows whose numbers are kept for a file."""


@dataclass(slots=True)
class ImportedEvents:
    """The result of an import, or of a check of the file, without addresses."""

    is_check: bool = False
    rows: int = 0
    recorded: Recorded = field(default_factory=Recorded)
    """The numbers that were recorded; of a check, those that would be, without suppressions."""
    unused: int = 0
    """Events that are not about delivery."""
    bad: Counter[str] = field(default_factory=Counter)
    """Bad rows, by what is wrong."""
    bad_rows: list[tuple[int, str]] = field(default_factory=list)
    first: list[tuple[int, DeliveryState, float, str]] = field(default_factory=list)
    """The first events: row, state, time, and what led to the recipient or why nothing did."""
    is_complete: bool = True
    """Whether the file was read to its end."""

    def summary(self) -> str:
        """One line with the numbers."""
        done, would = self.recorded, "would be " if self.is_check else ""
        parts = [
            f"{self.rows:,} rows: {done.states.total():,} events {would}recorded",
            f"{done.known:,} known before",
            f"{done.unmatched.total():,} not matched",
            f"{self.unused:,} not about delivery",
            f"{self.bad.total():,} bad rows",
        ]
        text = ", ".join(parts)
        if not self.is_check:
            text += f"; {done.suppressed:,} newly suppressed"
        return text if self.is_complete else f"{text}. Stopped early: run it again to go on"

    def page(self) -> str:
        """Return the page that an operator reads, in Markdown."""
        done = self.recorded
        bad = [[f"{number:,}", cell(what)] for number, what in self.bad_rows[:SHOWN_BAD_ROWS]]
        first = [
            [f"{row:,}", state.value, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}", by]
            for row, state, at, by in self.first
        ]
        return "\n".join(
            [
                "# Imported events" if not self.is_check else "# Events of a file: only a check",
                "",
                f"{self.summary()}.",
                "",
                *section("First events", table(["Row", "State", "Time (UTC)", "Found by"], first)),
                *section("By state", _counts("State", done.states)),
                *section("Found by", _counts("Found by", done.matched_by)),
                *section("Not matched", _counts("Reason", done.unmatched)),
                *section("Bad rows by reason", _counts("What is wrong", self.bad, of="Rows")),
                *section("The first bad rows", table(["Row", "What is wrong"], bad) if bad else []),
            ]
        )


def _counts(
    name: str, counts: Counter[DeliveryState] | Counter[str], of: str = "Events"
) -> Sequence[str]:
    rows = [[cell(str(key)), f"{number:,}"] for key, number in counts.most_common()]
    return table([name, of], rows) if rows else []


def import_events(
    database: Database,
    file: EventFile,
    *,
    connection: str,
    provider: Provider,
    is_check: bool = False,
    bad_rows_file: str = "",
    goes_on: Callable[[], bool] = lambda: True,
) -> ImportedEvents:
    """Record the events of a file, each batch in a transaction of its own.

    An event counts once, by its id, or else by its content. So an interrupted import is continued
    by importing the file again.

    Args:
        database: The state database.
        file: The file.
        connection: The name of the connection that the mail went over.
        provider: The provider of the connection, which tells the form of lines of JSON.
        is_check: Read the whole file, and find the recipients, but record nothing.
        bad_rows_file: A CSV or Parquet file for the numbers of the bad rows; empty: none.
        goes_on: Called before each batch; False stops.

    Raises:
        AudienceError: The file cannot be read. What was recorded before stays.
        TableFileError: The file for bad rows exists, or cannot be written.
    """
    target = check_path(Path(bad_rows_file), overwrite=False) if bad_rows_file else None
    done = ImportedEvents(is_check)
    importer = _Importer(database, connection, done)
    for batch in _batches(_noted(read_rows(file, provider), done)):
        if not goes_on():
            done.is_complete = False
            break
        importer.take(batch)
    if target:
        write_tables(target, _BAD_ROWS, iter([_bad_table(done.bad_rows)]))
    return done


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Put rows together by the number of their events: a line may have one, or thousands."""
    batch, number = list[Row](), 0
    for row in rows:
        batch.append(row)
        number += len(row.events)
        if number >= BATCH:
            yield batch
            batch, number = [], 0
    if batch:
        yield batch


def _noted(rows: Iterable[Row], done: ImportedEvents) -> Iterator[Row]:
    """Pass the rows with events on, and count all of them."""
    for row in rows:
        done.rows += 1
        done.unused += row.unused
        if row.bad:
            done.bad[row.bad] += 1
            if len(done.bad_rows) < MOST_BAD_ROWS:
                done.bad_rows.append((row.number, row.bad))
        if row.events:
            yield row


class _Importer:
    def __init__(self, database: Database, connection: str, done: ImportedEvents) -> None:
        self._database = database
        self._deliveries = Deliveries(database)
        self._connection = connection
        self._done = done
        self._seen: set[str] = set()
        """In a check: ids of the events so far."""

    def take(self, rows: Sequence[Row]) -> None:
        """Record the events of these rows.

        Recipients are looked for except those of events that matched before: an event that was
        pushed before its recipient could be found counts once it is found.
        """
        by_key: dict[str, tuple[int, ProviderEvent]] = {}
        for row in rows:
            for event in row.events:
                by_key.setdefault(event.key, (row.number, event))
        known = self._deliveries.known(self._connection, by_key) | dict.fromkeys(self._seen, True)
        wanted = [event for key, (_, event) in by_key.items() if not known.get(key)]
        received = [
            item
            for item in match(self._database, self._connection, wanted)
            if item.to or item.event.key not in known
        ]
        self._show_first(received, {key: row for key, (row, _) in by_key.items()})
        if self._done.is_check:
            recorded = _would_record(received)
            self._seen |= by_key.keys()
        else:
            recorded = self._deliveries.record(self._connection, received)
        recorded.known += sum(len(row.events) for row in rows) - len(received)
        self._done.recorded += recorded

    def _show_first(self, received: Sequence[Received], rows: dict[str, int]) -> None:
        for item in received[: SHOWN_FIRST - len(self._done.first)]:
            event = item.event
            self._done.first.append((rows[event.key], event.state, event.at, item.matched_by))


def _would_record(received: Iterable[Received]) -> Recorded:
    recorded = Recorded()
    for item in received:
        if item.to:
            recorded.states[item.event.state] += 1
            recorded.matched_by[item.matched_by] += 1
        else:
            recorded.unmatched[item.matched_by] += 1
    return recorded


_BAD_ROWS = pa.schema([("row", pa.int64()), ("what is wrong", pa.string())])


def _bad_table(rows: Sequence[tuple[int, str]]) -> pa.Table:
    numbers, reasons = zip(*rows, strict=True) if rows else ((), ())
    return pa.table([pa.array(numbers, pa.int64()), pa.array(reasons, pa.string())], _BAD_ROWS)
