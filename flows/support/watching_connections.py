"""Apply what an operator changes in a connection's block while a campaign is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from blocks.loading import load_connections
from flows.support.sending import Sending
from flows.support.session_slots.notices import Logger
from mailsluice.core.errors import MailsluiceError
from mailsluice.smtp.connection import Connection

_LOOK_SECONDS = 10.0


class BlockWatcher:
    """Reads the blocks of a running campaign's connections, and applies their changes."""

    def __init__(self, sending: Sending, logger: Logger) -> None:
        self._sending = sending
        self._logger = logger
        self._unreadable: set[str] = set()

    async def read(self) -> None:
        """Read all blocks once. A connection whose block cannot be read stays as it is."""
        for name in self._sending.connections:
            try:
                loaded = await load_connections([name])
                await self._apply(loaded[name])
            except Exception as error:  # noqa: BLE001 whatever it is, the campaign goes on
                self._warn(name, error)
            else:
                self._unreadable.discard(name)

    async def _apply(self, connection: Connection) -> None:
        self._sending.connections[connection.name] = connection
        changed = await self._sending.run.update(self._sending.fitted(connection))
        if changed:
            self._logger.info("connection %s: %s", connection.name, ", ".join(changed))
        self._sending.slots[connection.name].update(connection)

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
async def watch_connections(sending: Sending, logger: Logger) -> AsyncIterator[None]:
    """Read the blocks every ten seconds while the `with` block runs."""
    watching = asyncio.ensure_future(_watch(BlockWatcher(sending, logger)))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(watcher: BlockWatcher) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await watcher.read()
