"""Apply what an operator changes in a connection's block while a campaign is sent.

Prefect sends the event of a change before the change is stored. So the block is read several times
after an event, until it has changed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from prefect.events import Event

from blocks.loading import load_connection
from flows.support.sending import Sending
from flows.support.server_events import ServerEvents
from flows.support.session_slots.notices import Logger
from mailsluice.core.beside import beside
from mailsluice.core.errors import MailsluiceError
from mailsluice.smtp.connection import Connection

_BLOCK_KIND = "prefect.block-document."
_UNSUBSCRIBED_SECONDS = 10.0
_COMMIT_PAUSES = (0.1, 0.3, 1.0, 3.0, 10.0, 60.0)
"""The seconds between the reads after an event."""


class BlockWatcher:
    """Reads the blocks of a running campaign's connections, and applies their changes."""

    def __init__(self, sending: Sending, events: ServerEvents, logger: Logger) -> None:
        self._sending = sending
        self._events = events
        self._logger = logger
        self._unreadable: set[str] = set()
        self._changed = asyncio.Event()
        self._due: dict[str, tuple[float, Iterator[float]]] = {}
        """By connection, when its block is to be read, and the pauses between further reads."""

    def hear(self, event: Event | None) -> None:
        """Note an event; None where events may have been missed."""
        if event is None:
            self._read_soon(self._sending.connections, ())
        elif event.resource.id.startswith(_BLOCK_KIND) and (
            (name := event.resource.name) in self._sending.connections
        ):
            self._read_soon([name], _COMMIT_PAUSES)

    async def run(self) -> None:
        """Read the blocks that may have changed, until this is cancelled."""
        while True:
            now = time.monotonic()
            for name in [name for name, (at, _) in self._due.items() if at <= now]:
                _, pauses = self._due.pop(name)
                if await self.read(name):
                    continue
                last = _UNSUBSCRIBED_SECONDS if name in self._unreadable else math.inf
                if (pause := next(pauses, last)) < math.inf:
                    self._due.setdefault(name, (time.monotonic() + pause, pauses))
            await self._wait()

    async def read(self, name: str) -> bool:
        """Read one block; returns whether it has changed.

        A connection whose block cannot be read stays as it is.
        """
        try:
            has_changed = await self._apply(await load_connection(name))
        except Exception as error:  # noqa: BLE001 whatever it is, the campaign goes on
            self._warn(name, error)
            return False
        self._unreadable.discard(name)
        return has_changed

    def _read_soon(self, names: Iterable[str], pauses: Iterable[float]) -> None:
        self._due.update((name, (-math.inf, iter(pauses))) for name in names)
        self._changed.set()

    async def _wait(self) -> None:
        """Wait for an event, or until a block is to be read."""
        now = time.monotonic()
        pause = math.inf if self._events.is_subscribed else _UNSUBSCRIBED_SECONDS
        read_at = min([now + pause, *(at for at, _ in self._due.values())])
        try:
            async with asyncio.timeout(max(0.0, read_at - now) if read_at < math.inf else None):
                await self._changed.wait()
        except TimeoutError:
            if not self._due:
                self._read_soon(self._sending.connections, ())
        self._changed.clear()

    async def _apply(self, connection: Connection) -> bool:
        if changed := await self._sending.update(connection):
            self._logger.info("connection %s: %s", connection.name, ", ".join(changed))
        return bool(changed)

    def _warn(self, name: str, error: Exception) -> None:
        if name not in self._unreadable:
            self._unreadable.add(name)
            # The text of other errors may contain the values of the block.
            reason = str(error) if isinstance(error, MailsluiceError) else type(error).__name__
            self._logger.warning(
                "connection %s: its block cannot be read, so its settings do not change: %s",
                name,
                reason,
            )


@asynccontextmanager
async def watch_connections(
    sending: Sending, events: ServerEvents, logger: Logger
) -> AsyncIterator[None]:
    """Apply changes of the blocks while the `with` block runs."""
    watcher = BlockWatcher(sending, events, logger)
    watcher.hear(None)  # the blocks may have changed since they were loaded
    events.listeners.append(watcher.hear)
    try:
        async with beside(watcher.run()):
            yield
    finally:
        events.listeners.remove(watcher.hear)
