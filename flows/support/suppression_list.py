"""The common parts of the flows that change the suppression list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.support.operation import state_database
from mailsluice.operations.suppression.page import Change
from mailsluice.store import Database
from tasks.suppressions import publish_suppressions


async def changed(change: Callable[[Database], Change]) -> State[Any]:
    """Change the list, publish the page about it, and return the flow's final state."""
    async with state_database() as database:
        done = await asyncio.to_thread(change, database)
        await publish_suppressions(database, done)
    return Completed(message=done.summary(), data=done)
