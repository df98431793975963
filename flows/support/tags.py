"""Tags of flow runs: the campaign and the connections, so that the UI's filter finds the runs.

A deployment's own tags stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows.support.document import named_in
from flows.support.run_day import day_of_run, field_of
from mailsluice.core.masking import masked
from mailsluice.core.names import DAY, seen

logger = logging.getLogger(__name__)

_LONGEST = 100
"""Characters of a name in a tag, which the UI shows on one line."""
_MOST_CONNECTIONS = 20


def tags_of(campaign: str | None, connections: Iterable[str] = ()) -> list[str]:
    """The tags of a run about a campaign (None: about no single one) and these connections."""
    tags = [] if campaign is None else [f"campaign:{_shown(campaign)}"]
    names = list(dict.fromkeys(filter(None, connections)))[:_MOST_CONNECTIONS]
    return tags + [f"connection:{_shown(name)}" for name in names]


def _shown(name: str) -> str:
    """A name on one line, cut to a bounded length; without addresses, and without commas.

    The UI separates the tags of a filter by commas.
    """
    words = " ".join(masked(seen(name[: 2 * _LONGEST])).replace(",", " ").split())
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


@asynccontextmanager
async def tagged(arguments: Mapping[str, Any]) -> AsyncIterator[None]:
    """Tag this run by the arguments of its flow, beside what the `with` block does.

    A failure changes nothing else.
    """
    work = asyncio.ensure_future(_tag(arguments))
    try:
        yield
    finally:
        await work


async def _tag(arguments: Mapping[str, Any]) -> None:
    run_id = flow_run.get_id()
    if run_id is None:  # the flow's function is called by itself: a client would start a server
        return
    try:
        before = flow_run.get_tags()
        new = [tag for tag in await _tags_by(arguments) if tag not in before]
        if new:
            async with get_client() as client:
                await client.update_flow_run(UUID(run_id), tags=[*before, *new])
    except Exception as error:  # noqa: BLE001 a run does not need its tags
        logger.debug("the run was not tagged: %s", type(error).__name__)


async def _tags_by(arguments: Mapping[str, Any]) -> list[str]:
    """The tags by the parameters `campaign`, a document or a name, `connection` and `connections`.

    The document is not checked yet.
    """
    given = arguments.get("campaign")
    connections = [arguments.get("connection"), *(arguments.get("connections") or ())]
    if given is None or isinstance(given, str):
        return tags_of(given, map(block_name, connections))
    name, routes = named_in(given), field_of(given, "routes")
    if DAY in name:
        name = named_in(given, (await asyncio.to_thread(day_of_run, given)).day)
    if isinstance(routes, Sequence):
        connections += [field_of(route, "connection") for route in routes]
    return tags_of(name, map(block_name, connections))


def block_name(connection: object) -> str:
    """The name of a connection that is given by its name or its block; empty if it has none."""
    if isinstance(connection, Block):
        connection = connection._block_document_name  # noqa: SLF001 - there is no public name
    return connection if isinstance(connection, str) else ""
