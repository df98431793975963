"""A connection's `max_sessions` over all campaigns, processes and machines.

The global concurrency limit `smtp-<connection>` in Prefect has one slot for each session; operators
see and change it in the UI. `smtp-host-<host>` does the same for all connections to a host whose
blocks have `max_sessions_per_host`. All calls are made on the flow's own loop: sessions on the
engine's loop, or in other processes, borrow their slots (`mailsluice.delivery.slot_lending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from flows.support.server_events import ServerEvents
from flows.support.session_slots.gate import Gate
from flows.support.session_slots.keeper import SlotKeeper
from flows.support.session_slots.limit import SlotLimit
from flows.support.session_slots.limit_state import host_limit
from flows.support.session_slots.neighbours import Neighbours
from flows.support.session_slots.notices import Logger, Notices
from mailsluice.delivery import Run
from mailsluice.delivery.session_pool import OpenSession
from mailsluice.delivery.slot_lending import LoopDesk
from mailsluice.delivery.slotted_session import open_with_slot
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Session

__all__ = ["SessionSlots", "session_slots"]

_CLOSE_SECONDS = 10.0


class SessionSlots:
    """Opens the sessions of one connection, each when there is a slot for it.

    `open` runs on the loop of the sessions, all else on the loop that made this object.
    """

    def __init__(
        self,
        connection: Connection,
        logger: Logger,
        opening: OpenSession,
        events: ServerEvents | None = None,
        shards: int = 1,
    ) -> None:
        """`events` tell when the limit changes; without them it is read every few seconds.

        `shards` is how many processes divide the connection's sessions: this one takes its part.
        """
        name = connection.name
        self._opening = opening
        self._events = events = events or ServerEvents()
        self.slots = Gate()
        """The slots of this process; they are asked for from the first use on."""
        limit = SlotLimit(name, host_limit(connection))
        self.lock = limit.lock
        """A descriptor for processes that use these slots; None where there is none. While any of
        them has it, the slots of a killed run stay taken."""
        self._keeper = SlotKeeper(
            limit,
            connection.max_sessions,
            self.slots,
            Notices(name, logger),
            Neighbours(name, host=limit.host),
            is_told=lambda: events.is_subscribed,
            shards=shards,
        )
        events.listeners.append(self._keeper.hear)
        self._loop = asyncio.get_running_loop()
        self._keeping = asyncio.ensure_future(self._keeper.run())
        self._desk: LoopDesk | None = None

    async def open(self, connection: Connection) -> Session:
        """Wait for a slot, then open a session. An `OpenSession`."""
        if self._desk is None:
            self._desk = LoopDesk(lambda: self.slots, self._loop)
        return await open_with_slot(connection, self._desk.borrowed, self._opening)

    def update(self, connection: Connection) -> None:
        """Use the changed block's number of sessions."""
        self._keeper.resize(connection.max_sessions, host_limit(connection))

    async def close(self) -> None:
        """Release all slots; slots that cannot be released in time expire."""
        self._events.listeners.remove(self._keeper.hear)
        self._keeper.close()
        await asyncio.wait({self._keeping}, timeout=_CLOSE_SECONDS)
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)


@asynccontextmanager
async def session_slots(
    connections: Iterable[Connection],
    run: Run,
    logger: Logger,
    events: ServerEvents,
    shards: int = 1,
) -> AsyncIterator[dict[str, SessionSlots]]:
    """The slots of a campaign's connections, by connection name; released at the end."""
    slots = {
        connection.name: SessionSlots(connection, logger, run.open_session, events, shards)
        for connection in connections
    }
    try:
        yield slots
    finally:
        await asyncio.gather(*(known.close() for known in slots.values()))
