"""Prefect's SQLite database without lost requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class ImmediateTransactions(AioSqliteConfiguration):
    """Have every transaction take the write lock when it begins.

    Prefect begins most transactions deferred. Such a transaction reads first, and where another one
    commits before its first write, SQLite refuses that write at once (SQLITE_BUSY_SNAPSHOT),
    whatever the busy timeout: the server answers 503, and a run submitted in the UI is lost. A
    transaction that begins with the lock waits for the others, up to the busy timeout of a minute.
    Requests that only read use no transaction of this kind, and do not wait.
    """

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = False,  # noqa: ARG002 - always
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction with `BEGIN IMMEDIATE`."""
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction
