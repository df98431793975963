"""The command that imports a provider's exported file of events."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from deployments.command.connections import prefect
from deployments.command.output import AsJson, Flag, show_page
from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import CampaignError
from mailsluice.core.forms import in_words
from mailsluice.events.exported import Meaning


def import_file(
    connection: str,
    file: Path,
    /,
    *,
    provider: Provider | None = None,
    timezone: str = "UTC",
    columns: Annotated[dict[str, str] | None, Parameter(show_default=False)] = None,
    names: Annotated[dict[str, Meaning] | None, Parameter(show_default=False)] = None,
    encoding: str = "utf-8",
    delimiter: str = "",
    check: Flag = False,
    bad_rows: Annotated[Path | None, Parameter(show_default=False)] = None,
    json: AsJson = False,
) -> None:
    """Record the events of an exported file; doing so again changes nothing.

    Args:
        connection: The name of the SMTP Connection block that the mail went over.
        file: A table (.csv, .tsv, .txt, .parquet), or lines of JSON (.ndjson, .jsonl, .json).
        provider: The provider, if it is not that of the block's identity.
        timezone: The time zone of times in a table that name none.
        columns: Columns of a table, as in --columns.event=Type --columns.recipient=Address. The
            others are found by their usual names.
        names: Names of events in a table, as in --names.Failed=bounced.
        encoding: The character encoding of a CSV file.
        delimiter: The character between the columns of a CSV file; a comma, or in .tsv a tab, if
            it is not given.
        check: Only read the file, and show what would be recorded.
        bad_rows: A new CSV or Parquet file for the numbers of the bad rows.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.events.importing import import_events
    from mailsluice.operations.events.reading import EventFile
    from mailsluice.store import Database

    meanings = [{"name": name, "meaning": meaning} for name, meaning in (names or {}).items()]
    given: dict[str, object] = {"columns": columns or {}, "names": meanings, "timezone": timezone}
    given |= {"encoding": encoding} | ({"delimiter": delimiter} if delimiter else {})
    try:
        described = EventFile.model_validate({"path": str(file), **given})
    except ValidationError as error:
        raise CampaignError(in_words(error)) from None
    with Database() as database:
        done = import_events(
            database,
            described,
            connection=connection,
            provider=provider or _provider_of(connection),
            is_check=check,
            bad_rows_file=str(bad_rows or ""),
        )
    show_page(done.page(), done, as_json=json)


def _provider_of(connection: str) -> Provider:
    """Return the provider of a block's identity."""
    from blocks.loading import load_connection

    with prefect():
        return asyncio.run(load_connection(connection)).identity.provider or Provider.NONE
