"""The source of a campaign's addresses."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)

from mailsluice.campaign.list_url import checked_url, file_name, shown_url
from mailsluice.core.forms import Document

_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
"""Codecs for text that are not the encoding of any file."""
_NO_DELIMITERS = "\"'\\\r\n\0@.+-_"
"""Characters that occur in addresses or quote values, or end a line."""


MOST_SOURCES = 100


class ColumnName(Document):
    """A column of the source, with the name that templates know it by."""

    column: str = Field(
        min_length=1, max_length=1_000, description="The column's heading in the list."
    )
    name: str = Field(
        min_length=1,
        max_length=1_000,
        description="The name that templates use, such as first_name; email for the addresses.",
    )


def _from_mapping(value: Any) -> Any:
    """Accept `{first_name: Vorname}`, the short form for files and programs."""
    if isinstance(value, Mapping):
        return tuple({"name": name, "column": column} for name, column in value.items())
    return value


def _web_address(value: str) -> str:
    return checked_url(value) if value else value


Columns = Annotated[tuple[ColumnName, ...], Field(max_length=2_000), BeforeValidator(_from_mapping)]


class RecipientSource(Document):
    """The source of addresses: a CSV or Parquet file, on the worker or at a URL, or a query."""

    model_config = ConfigDict(title="One source")  # forms show it beside "Several sources"

    path: str | None = Field(
        None,
        title="File",
        description="A CSV (.csv, .tsv, .txt) or Parquet (.parquet) file, as the worker sees it.",
    )
    url: Annotated[str, Field(max_length=2_000), AfterValidator(_web_address)] | None = Field(
        None,
        title="URL",
        description="The URL of a CSV (also .csv.gz) or Parquet file: https://..., s3://bucket/..."
        " or gs://bucket/...; or that of a shared Google sheet.",
    )
    storage: str | None = Field(
        None,
        title="Storage",
        description="With a URL: the List Storage block with the login, if the list needs one.",
    )
    query: str | None = Field(
        None, title="Query", description="A SQL SELECT, instead of a file.", max_length=100_000
    )
    database: str | None = Field(
        None, title="Database", description="The database block that the query runs on."
    )
    email_column: str = Field(
        "email",
        min_length=1,
        title="E-mail column",
        description="The column that holds the e-mail address.",
    )
    columns: Columns = Field(
        (),
        title="Column names",
        description="Other names for columns, so that one message fits lists with different"
        " headings. Columns that are not listed keep their headings.",
    )
    encoding: str = Field(
        "utf-8",
        description="Character encoding of a CSV file: utf-8 (with or without BOM), cp1252, ...",
    )
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] = Field(
        ",", min_length=1, max_length=1, description="The character between columns of a CSV file."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        kinds = {
            "a file (path)": self.path,
            "a URL (url)": self.url,
            "a query with its database": self.query or self.database,
        }
        given = [kind for kind, value in kinds.items() if value]
        if len(given) > 1:
            raise ValueError(f"give either {' or '.join(given)}, not both")
        if bool(self.query) != bool(self.database):
            missing = "database" if self.query else "query"
            raise ValueError(f"a query and its database belong together: add {missing}")
        if self.storage and not self.url:
            raise ValueError("a storage is for a URL: give the url of the list, too")
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for what in ("column", "name"):
            seen: set[str] = set()
            for value in (getattr(entry, what) for entry in self.columns):
                if value in seen:
                    raise ValueError(f"columns: the {what} {value!r} is listed twice: remove one")
                seen.add(value)
        column = next((entry.column for entry in self.columns if entry.name == "email"), None)
        if column and "email_column" in self.model_fields_set and column != self.email_column:
            raise ValueError(
                f"columns gives the addresses the column {column!r}, and email_column"
                f" {self.email_column!r}: remove one of them"
            )
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
            is_known = codecs.lookup(value).name.replace("_", "-") not in _NO_CHARSETS
        except (LookupError, ValueError):
            is_known = False
        if not is_known:
            raise ValueError(
                f"unknown encoding {value!r}: use a Python codec name such as utf-8 or cp1252"
            )
        return value

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, value: str) -> str:
        if not value.isascii() or value.isalnum() or value in _NO_DELIMITERS:
            raise ValueError(
                f"{value!r} cannot separate columns: use a comma, a semicolon, a tab or a bar (|)"
            )
        return value

    @property
    def given(self) -> bool:
        """Whether there is anything to read."""
        return bool(self.path or self.url or self.query)

    @property
    def label(self) -> str:
        """The source's name on pages and in tables; several queries may have the same."""
        return self.path or (shown_url(self.url) if self.url else f"query on {self.database}")

    @property
    def file_name(self) -> str:
        """The name of the file, without its folder; empty for a query."""
        return PurePath(self.path).name if self.path else file_name(self.url or "")

    @property
    def address_column(self) -> str:
        """The heading of the column that holds the addresses."""
        named = (entry.column for entry in self.columns if entry.name == "email")
        return next(named, self.email_column)

    @property
    def renamed(self) -> dict[str, str]:
        """The names of columns in templates, by heading, without the column of the addresses."""
        return {entry.column: entry.name for entry in self.columns if entry.name != "email"}

    @property
    def is_parquet(self) -> bool:
        """Whether the file is in Parquet, judged by its name."""
        return PurePath(self.file_name).suffix.lower() in {".parquet", ".pq"}


def one_or_several(kind: type[RecipientSource]) -> BeforeValidator:
    """Accept a source, or a list of sources; a list of one is that source.

    The list is checked here because the messages of a union name its branches, which no operator
    knows.
    """

    several: TypeAdapter[list[RecipientSource]] = TypeAdapter(list[kind])  # type: ignore[valid-type]

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return kind.model_validate(value)
        sources = tuple(several.validate_python(value))
        if len(sources) > MOST_SOURCES:
            raise ValueError(
                f"these are {len(sources):,} sources, and at most {MOST_SOURCES} are read: join"
                " files, or use a query"
            )
        if unset := [number for number, source in enumerate(sources, 1) if not source.given]:
            raise ValueError(
                f"no. {unset[0]} names nothing to read: give a file (path), a URL (url), or a"
                " query with its database, or remove it"
            )
        return sources if len(sources) > 1 else (sources or (kind(),))[0]

    return BeforeValidator(check)


Sources = Annotated[
    RecipientSource
    | Annotated[
        tuple[RecipientSource, ...], Field(title="Several sources", max_length=MOST_SOURCES)
    ],
    one_or_several(RecipientSource),
]


def listed(sources: RecipientSource | tuple[RecipientSource, ...]) -> tuple[RecipientSource, ...]:
    """The sources that there is anything to read from, in their order."""
    given = sources if isinstance(sources, tuple) else (sources,)
    return tuple(source for source in given if source.given)
