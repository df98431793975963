"""A connection's `max_sessions` over all campaigns, processes and machines.

The global concurrency limit `smtp-<connection>` in Prefect has one slot for each session; operators
see and change it in the UI. A call costs milliseconds, so there is one when a session opens or
closes, and none for a message. All calls are made on the flow's own loop: sessions on the engine's
loop, or in other processes, borrow their slots (`mailsluice.delivery.slot_lending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import copy_context

from flows.support.session_slots.keeper import SlotKeeper
from flows.support.session_slots.limit import SlotLimit
from flows.support.session_slots.notices import Logger, Notices
from flows.support.session_slots.slots import Slots
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

    def __init__(self, connection: Connection, logger: Logger, opening: OpenSession) -> None:
        self._connection = connection
        self._logger = logger
        self._opening = opening
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # Prefect's settings, which calls from other threads lack
        self._keeper: SlotKeeper | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._desk: LoopDesk | None = None

    async def open(self, connection: Connection) -> Session:
        """Wait for a slot, then open a session. An `OpenSession`."""
        if self._desk is None:
            self._desk = LoopDesk(lambda: self.slots, self._loop)
        return await open_with_slot(connection, self._desk.borrowed, self._opening)

    def update(self, connection: Connection) -> None:
        """Use the changed block's number of sessions."""
        self._connection = connection
        if self._keeper:
            self._keeper.resize(connection.max_sessions)

    async def close(self) -> None:
        """Release all slots; slots that cannot be released in time expire."""
        if self._keeper and self._keeping:
            self._keeper.close()
            await asyncio.wait({self._keeping}, timeout=_CLOSE_SECONDS)
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    @property
    def slots(self) -> Slots:
        """The slots of this process; they are asked for from the first use on."""
        return self._started().slots

    def _started(self) -> SlotKeeper:
        if self._keeper is None:
            name = self._connection.name
            notices = Notices(name, self._logger)
            self._keeper = SlotKeeper(SlotLimit(name), self._connection.max_sessions, notices)
            self._keeping = self._loop.create_task(self._keeper.run(), context=self._context)
        return self._keeper


@asynccontextmanager
async def session_slots(
    connections: Iterable[Connection], run: Run, logger: Logger
) -> AsyncIterator[dict[str, SessionSlots]]:
    """The slots of a campaign's connections, by connection name; released at the end."""
    slots = {
        connection.name: SessionSlots(connection, logger, run.open_session)
        for connection in connections
    }
    try:
        yield slots
    finally:
        await asyncio.gather(*(known.close() for known in slots.values()))
