"""The source of a campaign's addresses."""

from __future__ import annotations

import codecs
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)

from mailsluice.core.forms import Document

_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
"""Codecs for text that are not the encoding of any file."""
_NO_DELIMITERS = "\"'\\\r\n\0@.+-_"
"""Characters that occur in addresses or quote values, or end a line."""


MOST_SOURCES = 100


class RecipientSource(Document):
    """The source of addresses: a CSV or Parquet file, or a query on a stored database."""

    model_config = ConfigDict(title="One source")  # forms show it beside "Several sources"

    path: str | None = Field(
        None,
        title="File",
        description="A CSV (.csv, .tsv, .txt) or Parquet (.parquet) file, as the worker sees it.",
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
    encoding: str = Field(
        "utf-8",
        description="Character encoding of a CSV file: utf-8 (with or without BOM), cp1252, ...",
    )
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] = Field(
        ",", min_length=1, max_length=1, description="The character between columns of a CSV file."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path and (self.query or self.database):
            raise ValueError("give either a file (path) or a query with its database, not both")
        if bool(self.query) != bool(self.database):
            missing = "database" if self.query else "query"
            raise ValueError(f"a query and its database belong together: add {missing}")
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
        return bool(self.path or self.query)

    @property
    def label(self) -> str:
        """The source's name on pages and in tables; several queries may have the same."""
        return self.path or f"query on {self.database}"

    @property
    def is_parquet(self) -> bool:
        """Whether the file is in Parquet, judged by its name."""
        return PurePath(self.path or "").suffix.lower() in {".parquet", ".pq"}


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
                f"no. {unset[0]} names nothing to read: give a file (path), or a query with its"
                " database, or remove it"
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
