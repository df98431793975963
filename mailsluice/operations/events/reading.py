"""Reading the events of a file, row by row, whatever its rows contain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple, NoReturn, Self

import pandas as pd
from pydantic import Field, StringConstraints, ValidationError, model_validator

from mailsluice.audience.blanks import trimmed
from mailsluice.audience.chunk import as_array
from mailsluice.audience.csv_file import csv_header
from mailsluice.audience.parquet_file import parquet_header
from mailsluice.audience.source import read_chunks
from mailsluice.campaign import RecipientSource
from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import AudienceError
from mailsluice.core.files import FileError, open_named
from mailsluice.core.forms import Document, in_words
from mailsluice.core.spreadsheet import from_text
from mailsluice.core.timezones import Timezone
from mailsluice.events.batch import ABOUT_SOMETHING_ELSE
from mailsluice.events.event import ProviderEvent
from mailsluice.events.exported import EventColumns, EventName, TableReader, columns_among
from mailsluice.events.fields import Fields, UnreadableEventError
from mailsluice.events.json_lines import read_line

LONGEST_LINE = 1 << 20
"""Octets of a line of JSON; a longer one is left out, without being held in memory."""
_JSON_ENDINGS = frozenset((".ndjson", ".jsonl", ".json"))
_MALFORMED = "not as many fields as the header"
_TOO_LONG = f"longer than {LONGEST_LINE >> 20} MB"


class EventFile(Document):
    """A file of events: a table (CSV, Parquet), or lines of JSON as webhooks send them."""

    path: str = Field(
        min_length=1,
        title="File",
        description="A table (.csv, .tsv, .txt, .parquet), or lines of JSON (.ndjson, .jsonl,"
        " .json), as the worker sees it.",
    )
    columns: EventColumns = Field(
        EventColumns(), description="The columns of a table; found by usual names if left empty."
    )
    names: tuple[EventName, ...] = Field(
        (),
        max_length=100,
        description="The meanings of words for events in a table that Mailsluice does not know.",
    )
    timezone: Timezone = Field(
        "UTC", title="Time zone", description="The time zone of times in a table that name none."
    )
    encoding: str = Field("utf-8", description="Character encoding of a CSV file.")
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] = Field(
        ",", min_length=1, max_length=1, description="The character between columns of a CSV file."
    )

    @model_validator(mode="after")
    def _can_be_opened(self) -> Self:
        try:
            self.table()
        except ValidationError as error:
            raise ValueError(in_words(error)) from None
        return self

    def table(self, column: str = "event") -> RecipientSource:
        """Return how to read the file as a table, by one of its columns."""
        given = self.model_dump(include={"path", "encoding", "delimiter"}, exclude_unset=True)
        return RecipientSource(**given, email_column=column)

    @property
    def has_json(self) -> bool:
        """Whether the file has lines of JSON, judged by its name."""
        return Path(self.path).suffix.lower() in _JSON_ENDINGS


class Row(NamedTuple):
    """The events of a row, or why it has none."""

    number: int
    """1 is the first row after a header, or the first line of JSON."""
    events: Sequence[ProviderEvent]
    bad: str = ""
    """What is wrong with the row."""
    unused: int = 0
    """Events that are not about delivery."""


def read_rows(file: EventFile, provider: Provider) -> Iterator[Row]:
    """Read a file of a provider's events.

    Raises AudienceError, at the first row or later, if the file cannot be read.
    """
    path = Path(file.path)
    try:
        yield from (
            _json_rows(path, provider) if file.has_json else _table_rows(path, file, provider)
        )
    except FileError as error:
        raise AudienceError(f"the file {path} cannot be read: {error}") from None
    except OSError as error:
        raise AudienceError(
            f"the file {path} cannot be opened ({error.strerror}): give the path of the file as the"
            " worker sees it"
        ) from None


def _json_rows(path: Path, provider: Provider) -> Iterator[Row]:
    with open_named(path) as opened:
        for number, line in enumerate(_lines(opened), 1):
            if line is None:
                yield Row(number, (), _TOO_LONG)
            elif line.strip():
                yield _json_row(number, line, provider)


def _json_row(number: int, line: bytes, provider: Provider) -> Row:
    try:
        batch = read_line(line, provider)
    except UnreadableEventError as error:
        return Row(number, (), str(error))
    unused = batch.unused[ABOUT_SOMETHING_ELSE]
    is_bad = batch.unused.total() > unused
    bad = f"not in the form of events of the provider {provider.value!r}" if is_bad else ""
    return Row(number, batch.events, bad, unused)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines of a file; None for one that is too long."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
            yield line.removeprefix(b"\xef\xbb\xbf")
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
        yield None


def _table_rows(path: Path, file: EventFile, provider: Provider) -> Iterator[Row]:
    source = file.table()
    with open_named(path) as opened:
        header = (
            parquet_header(opened, str(path))
            if source.is_parquet
            else csv_header(opened, str(path), source)
        )
    try:
        columns = columns_among([trimmed(name) for name in header], file.columns)
    except ValueError as error:
        raise AudienceError(f"the file {path} {error}") from None
    reader = TableReader(
        columns,
        names=file.names,
        timezone=file.timezone,
        is_sendgrid=provider is Provider.SENDGRID,
    )
    for chunk in read_chunks(file.table(columns["event"]), connect=_no_database):
        yield from (Row(number, (), _MALFORMED) for number in sorted(chunk.malformed))
        read = {columns["event"]: chunk.email.tolist()}
        others = [name for name in columns.values() if name in chunk.variables.columns]
        read |= {name: chunk.variables[name].tolist() for name in others}
        if not source.is_parquet and "recipient" in columns:
            read[columns["recipient"]] = _without_apostrophes(chunk.variables[columns["recipient"]])
        for number, *values in zip(chunk.rows.tolist(), *read.values(), strict=True):
            yield _table_row(number, Fields(dict(zip(read, values, strict=True))), reader)


def _without_apostrophes(cells: pd.Series[str]) -> list[str]:
    """Return the cells as they were before an export made them safe for spreadsheets."""
    values: list[str] = from_text(as_array(cells)).to_pylist()
    return values


def _table_row(number: int, fields: Fields, reader: TableReader) -> Row:
    try:
        event = reader.event_of(fields)
    except UnreadableEventError as error:
        return Row(number, (), str(error))
    return Row(number, (event,)) if event else Row(number, (), unused=1)


def _no_database(name: str) -> NoReturn:
    raise AudienceError(f"events come from a file, not from the database {name!r}")
