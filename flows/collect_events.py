"""The flow that asks providers what became of accepted mail."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from blocks.loading import load_event_accounts
from flows.support.after_events import after_events
from flows.support.operation import operation, state_database
from mailsluice.operations.events.collected import CollectedEvents
from tasks.collect_events import fetch_events, publish_events

_NEXT_RUN = "The next run continues"

Name = Annotated[str, Field(min_length=1, max_length=200)]
Connections = Annotated[
    list[Name], Field(max_length=100, json_schema_extra={"title": "Connections"})
]
Pages = Annotated[
    int, Field(ge=1, le=1_000_000, json_schema_extra={"title": "Pages of a connection"})
]


@operation("collect-events", run_name="collect events", then=_NEXT_RUN)
async def collect_events(
    connections: Connections = [],  # noqa: B006 # Prefect validates a copy of it
    pages: Pages = 1_000,
) -> State[Any]:
    """Ask the providers of connections what became of the mail that they have accepted.

    Records each event for its recipient, as the receiver of pushed events does, and suppresses
    addresses that bounced, complained or unsubscribed. Run it on a schedule, every 15 minutes.
    Returns `CollectedEvents`.

    Args:
        connections: The connections to ask about. Left empty: all whose block has an events API.
        pages: The most pages of events that this run fetches for each connection.
    """
    collected = await _collect(connections, pages)
    if collected.is_troubled:
        troubles = "; ".join(collected.troubles())
        return Failed(message=f"{collected.summary()}. Stopped early: {troubles}", data=collected)
    return Completed(message=collected.summary(), data=collected)


async def _collect(connections: list[str], pages: int) -> CollectedEvents:
    accounts, unusable = await load_event_accounts(connections)
    async with state_database() as database:
        collected = await fetch_events(accounts, database, pages)
        collected.unusable += unusable
        await publish_events(collected)
        await after_events(database, collected.campaign_ids, get_run_logger())
    return collected
