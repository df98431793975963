"""One slot for a session beside the campaigns: where one is free."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from flows.session_slots.limit import SlotLimit, SlotsUnavailableError
from mailsluice.smtp.connection import Connection


@asynccontextmanager
async def spare_slot(connection: Connection) -> AsyncIterator[bool]:
    """Hold one of the connection's slots, if one is free; tells whether.

    Neither waits for one nor renews it: who uses it takes less than a lease.
    """
    limit = SlotLimit(connection.name)
    lease = None
    try:
        with suppress(SlotsUnavailableError):
            await limit.standing(connection.max_sessions)  # makes it, where there is none
            lease = await limit.acquire()
        yield lease is not None
    finally:
        with suppress(SlotsUnavailableError):
            if lease is not None:
                await limit.release(lease)
        await limit.close()
