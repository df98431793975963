"""The flow that imports the events of a provider's exported file."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from blocks.form import ConnectionBlock
from blocks.loading import load_connection
from flows.support.after_events import after_events
from flows.support.operation import operation, state_database
from mailsluice.campaign.identity import Provider
from mailsluice.operations.events.importing import ImportedEvents
from mailsluice.operations.events.reading import EventFile
from tasks.import_events import publish_imported_events, record_file


@operation("import-events", run_name="import events of {connection}", then="Retry goes on")
async def import_events(
    connection: ConnectionBlock,
    file: EventFile,
    check: bool = False,
    bad_rows_file: Annotated[str, Field(max_length=1_000)] = "",
) -> State[Any]:
    """Record the events of a provider's exported file, as if the provider had pushed them.

    A file that is imported again changes nothing. Lines of JSON are read in the form of the
    provider of the connection's identity. Returns `ImportedEvents`.

    Args:
        connection: The SMTP connection that the mail went over, or its name.
        file: The file, and how to read it.
        check: Only read the file, and show what would be recorded.
        bad_rows_file: A new CSV or Parquet file for the numbers of the bad rows; empty: none.
    """
    done = await _import(connection, file, check, bad_rows_file)
    return Completed(message=done.summary(), data=done)


async def _import(name: str, file: EventFile, check: bool, bad_rows_file: str) -> ImportedEvents:
    provider = (await load_connection(name)).identity.provider or Provider.NONE
    async with state_database() as database:
        done = await record_file(database, file, name, provider, check, bad_rows_file)
        await publish_imported_events(name, done)
        await after_events(database, done.recorded.campaign_ids, get_run_logger())
    return done
