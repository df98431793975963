"""Prefect's SQLite database, with writes that wait for each other instead of failing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncSessionTransaction
from sqlalchemy.util import await_only

_PATIENCE_SECONDS = 60.0
_TURN = "has its turn to write"


class WriteQueue(AioSqliteConfiguration):
    """A database on which one connection writes at a time while others wait in a queue.

    Prefect begins most transactions deferred. When such a transaction has read, and another one
    holds the write lock at its first write, SQLite refuses the write at once (SQLITE_BUSY),
    whatever the busy timeout: the server answers 503, and a run submitted in the UI is lost. Here
    transactions begin with the write lock (BEGIN IMMEDIATE).

    Transactions wait for the lock in the event loop, first come, first served. Waiting inside
    SQLite would block a thread and a pooled connection each, and stopped the server for the busy
    timeout of a minute. A connection holds the lock from its first write to its commit or rollback.
    Reads never wait.
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url)
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = False,  # noqa: ARG002 - every transaction gets the lock
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction with the write lock."""
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction

    async def engine(self) -> AsyncEngine:
        """The engine, with its writes in a queue."""
        engine = await super().engine()
        target = engine.sync_engine
        if not event.contains(target, "before_cursor_execute", self._before_statement):
            event.listen(target, "before_cursor_execute", self._before_statement)
            event.listen(target, "commit", self._ended)
            event.listen(target, "rollback", self._ended)
            for end in ("checkin", "invalidate", "close"):
                event.listen(target.pool, end, self._left)
        return engine

    def _before_statement(self, connection: sa.Connection, *statement: Any) -> None:
        """Before a write, wait until the connection holds the lock."""
        _, text, _, context, _ = statement
        is_write = text.startswith("BEGIN IMMEDIATE") or (
            context and (context.isinsert or context.isupdate or context.isdelete)
        )
        if is_write and _TURN not in connection.info and await_only(self._acquire()):
            connection.info[_TURN] = True

    async def _acquire(self) -> bool:
        """Wait for the lock; False after a minute, when SQLite itself reports the conflict."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._lock.acquire()
        return False

    def _ended(self, connection: sa.Connection) -> None:
        if not connection.invalidated:
            self._pass_on(connection.info)

    def _left(self, _: Any, record: Any, *__: Any) -> None:
        """Release the lock of a connection whose request was abandoned."""
        self._pass_on(record.info)

    def _pass_on(self, info: dict[Any, Any]) -> None:
        if info.pop(_TURN, False):
            self._lock.release()
