"""One slot for a session beside the campaigns: where one is free."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from flows.support.session_slots.limit import SlotLimit, SlotsUnavailableError
from flows.support.session_slots.patience import Patience
from mailsluice.smtp.connection import Connection

_T = TypeVar("_T")
_LEASE_SECONDS = 120.0  # it is not renewed, and a slow server takes its time at every step


@asynccontextmanager
async def spare_slot(connection: Connection) -> AsyncIterator[bool]:
    """Hold one of the connection's slots, if one is free; tells whether.

    Neither waits for one nor renews it: who uses it takes less than a lease. A server that does not
    answer is asked again for ten seconds.
    """
    limit = SlotLimit(connection.name)
    lease = None
    try:
        with suppress(SlotsUnavailableError):
            # Makes the limit, where there is none.
            await _answered(limit.standing, connection.max_sessions)
            lease = await _answered(limit.acquire, _LEASE_SECONDS)
        yield lease is not None
    finally:
        with suppress(SlotsUnavailableError):
            if lease is not None:
                await _answered(limit.release, lease)
        await limit.close()


async def _answered(call: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
    patience = Patience()
    while True:
        try:
            return await call(*arguments)
        except SlotsUnavailableError:
            delay = patience.failed(now := time.monotonic())
            if patience.is_over(now):
                raise
            await asyncio.sleep(delay)
