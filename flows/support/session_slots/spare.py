"""A slot for a single session outside of campaigns, if one is free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from flows.support.session_slots.limit import SlotLimit, SlotsUnavailableError
from flows.support.session_slots.limit_state import host_limit
from flows.support.session_slots.patience import Patience
from mailsluice.smtp.connection import Connection

_T = TypeVar("_T")
_LEASE_SECONDS = 120.0  # not renewed, and a slow server may take long at every step


@asynccontextmanager
async def spare_slot(connection: Connection) -> AsyncIterator[bool]:
    """Hold one of the connection's slots, if one is free; yields whether.

    It neither waits for a slot nor renews it, so the session must be shorter than the lease. A
    server that does not answer is asked again for ten seconds.
    """
    limit = SlotLimit(connection.name, host_limit(connection))
    lease = None
    try:
        with suppress(SlotsUnavailableError):
            # Creates the limit where there is none.
            await _retried(limit.read, connection.max_sessions)
            lease = await _retried(limit.acquire, 1, _LEASE_SECONDS)
        yield lease is not None
    finally:
        with suppress(SlotsUnavailableError):
            if lease is not None:
                await _retried(limit.release, lease)
        await limit.close()


async def _retried(call: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
    patience = Patience()
    while True:
        try:
            return await call(*arguments)
        except SlotsUnavailableError:
            delay = patience.failed(now := time.monotonic())
            if patience.is_over(now):
                raise
            await asyncio.sleep(delay)
