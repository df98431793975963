"""While the database is away no unrecorded message is sent, and sending continues afterwards."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from mailsluice.campaign import Campaign
from mailsluice.core.errors import OutboxError
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database, Outbox
from mailsluice.store.campaign_tables import tables_of
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    lock,
    people,
)
from tests.postgresql import postgresql
from tests.smtpd import Settings, SmtpServer

pytestmark = pytest.mark.takes_turns
UNHURRIED = Settings(delay_seconds=0.005)
"""Enough that some mail is left when the trouble begins."""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry the database soon."""
    monkeypatch.setattr("mailsluice.delivery.store_retry._RETRY_SECONDS", (0.02,))


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


class Disk:
    """While it is full no outcome can be written."""

    is_full = False


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    found, settle = Disk(), Outbox.settle

    def write(outbox: Outbox, *arguments: Any) -> None:
        if found.is_full:
            raise OperationalError("UPDATE", None, Exception("database or disk is full"))
        settle(outbox, *arguments)

    monkeypatch.setattr(Outbox, "settle", write)
    return found


async def send(
    sender: Sender,
    run: CampaignRun,
    document: Campaign,
    target: Connection,
    trouble: Callable[[], Any],
) -> None:
    """Send, and make trouble in the middle."""
    sending = asyncio.ensure_future(sender.send_prepared(run, document, [target]))
    try:
        await trouble()
        await sending
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await run.close()


def is_away(run: CampaignRun) -> bool:
    return bool(run._store and run._store.is_away)


async def nothing_new_goes_out(run: CampaignRun, server: SmtpServer, everybody: int) -> None:
    """Wait until the claimed recipients are sent to and no more are claimed."""
    connection_sender = run._connection_senders["red"]
    await eventually_async(
        lambda: not connection_sender._state.lanes and not connection_sender.queue._in_flight
    )
    before = len(server.received)
    await asyncio.sleep(0.2)
    assert len(server.received) == before < everybody


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_sqlite_database_may_be_locked_for_a_while(
    sender: Sender, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @sa.event.listens_for(sender.database.engine, "connect")
    def impatient(dbapi: sqlite3.Connection, _: object) -> None:
        dbapi.execute("PRAGMA busy_timeout = 50")

    sender.database.engine.dispose()
    document = campaign(tmp_path, people(600))
    with SmtpServer(UNHURRIED) as server, caplog.at_level(logging.INFO):
        server.hold(after=100)
        run = await asyncio.to_thread(sender.prepare, document)

        async def trouble() -> None:
            await eventually_async(lambda: len(server.received) >= 100)
            holder = lock(database_url.removeprefix("sqlite:///"))
            server.release()
            await eventually_async(lambda: is_away(run))
            await nothing_new_goes_out(run, server, 600)
            holder.close()

        await send(sender, run, document, connection("red", server), trouble)
        everybody_once(sender.ledger, {"red": server})
    assert "the state database is away" in caplog.text
    assert "the state database is back" in caplog.text


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
async def test_postgresql_drops_its_connections_again_and_again(
    sender: Sender, database_url: str, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(600))
    with SmtpServer(UNHURRIED) as server:
        run = await asyncio.to_thread(sender.prepare, document)

        async def trouble() -> None:
            for number in range(1, 8):
                await eventually_async(lambda: len(server.received) > 60 * number)  # noqa: B023
                await asyncio.to_thread(terminate, database_url)

        await send(sender, run, document, connection("red", server), trouble)
        everybody_once(sender.ledger, {"red": server})


def terminate(url: str) -> None:
    """End all other sessions of this database."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class Failing:
    """Makes every second commit fail, so many times."""

    def __init__(self, engine: sa.Engine, times: int, *, made: bool) -> None:
        self.left = times
        self._made = made
        self._dialect = engine.dialect
        self._commit = engine.dialect.do_commit
        self._patch = pytest.MonkeyPatch()
        self._number = 0

    def __enter__(self) -> Failing:
        self._patch.setattr(self._dialect, "do_commit", self._do_commit)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _do_commit(self, dbapi: sa.PoolProxiedConnection) -> None:
        self._number += 1
        fails = self.left > 0 and self._number % 2 == 1
        if not fails or self._made:
            self._commit(dbapi)
        if fails:
            self.left -= 1
            raise OperationalError("COMMIT", None, Exception("the link to the database broke"))


@pytest.mark.parametrize("made", [True, False])
async def test_a_commit_with_an_unknown_result_is_not_done_twice(
    made: bool, sender: Sender, tmp_path: Path
) -> None:
    """No recipient stays `sending`, is sent to twice, or has a duplicate in the history."""
    emails = ["450-at-rcpt-once.1@example.com", *people(400)]
    document = campaign(tmp_path, emails)
    with SmtpServer(UNHURRIED) as server:
        run = await asyncio.to_thread(sender.prepare, document)
        failing = Failing(sender.database.engine, 4, made=made)

        async def trouble() -> None:
            with failing:
                await eventually_async(lambda: not failing.left)

        await send(sender, run, document, connection("red", server), trouble)
        everybody_once(sender.ledger, {"red": server})
    row = sender.ledger.rows()[emails[0]]
    assert row.history == [("rcpt", "deferred", 450)]


async def test_a_restart_of_postgresql_loses_nothing(tmp_path: Path) -> None:
    """The server is stopped while sessions are open, stays down for a while, and comes back."""
    with (
        postgresql() as server,
        Database(server.get_uri()) as database,
        SmtpServer(UNHURRIED) as smtp,
    ):
        sender = Sender(database, tmp_path)
        document = campaign(tmp_path, people(800))
        run = await asyncio.to_thread(sender.prepare, document)

        smtp.hold(after=50)  # however long the server takes to stop, most of the mail is left

        async def restart() -> None:
            await eventually_async(lambda: len(smtp.received) >= 50)
            await asyncio.to_thread(server.stop)
            smtp.release()
            await eventually_async(lambda: is_away(run))
            await nothing_new_goes_out(run, smtp, 800)
            await asyncio.to_thread(server.start)

        await send(sender, run, document, connection("red", smtp), restart)
        everybody_once(sender.ledger, {"red": smtp})


async def test_no_message_is_started_while_outcomes_cannot_be_written(
    sender: Sender, tmp_path: Path, disk: Disk
) -> None:
    document = campaign(tmp_path, people(800))
    with SmtpServer(UNHURRIED) as server:
        run = await asyncio.to_thread(sender.prepare, document)

        async def trouble() -> None:
            await eventually_async(lambda: len(server.received) > 50)
            disk.is_full = True
            await eventually_async(lambda: is_away(run))
            await nothing_new_goes_out(run, server, 800)
            disk.is_full = False

        await send(sender, run, document, connection("red", server), trouble)
        everybody_once(sender.ledger, {"red": server})


async def test_a_run_that_is_to_stop_does_not_wait_for_the_database(
    sender: Sender, tmp_path: Path, disk: Disk
) -> None:
    """The run ends with an error while the disk is full; the next one reads the journal."""
    document = campaign(tmp_path, people(800))
    with SmtpServer(UNHURRIED) as server:
        target = connection("red", server)
        run = await asyncio.to_thread(sender.prepare, document)
        message = launch.compiled(document, run.outbox.columns())
        sending = asyncio.ensure_future(run.send(target, message))
        await eventually_async(lambda: len(server.received) > 50)
        disk.is_full = True
        await eventually_async(lambda: is_away(run))
        run.stop()
        with pytest.raises(OutboxError, match="the state database is away"):
            await sending
        await run.close()
        disk.is_full = False
        assert sender.ledger.states()["sending"] > 0
        await sender.send(document, [target])
        everybody_once(sender.ledger, {"red": server})


async def test_a_store_thread_that_ends_ends_the_run(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some libraries end the thread that calls them; then no caller may wait for the thread."""
    document = campaign(tmp_path, people(200))
    with SmtpServer(UNHURRIED) as server:
        run = await asyncio.to_thread(sender.prepare, document)
        message = launch.compiled(document, run.outbox.columns())
        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "settle", lambda *_: sys.exit(1))
            with pytest.raises(OutboxError, match="SystemExit"):
                await run.send(connection("red", server), message)
        await run.close()
        await sender.send(document, [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})


async def test_a_statement_that_is_wrong_ends_the_run_instead_of_waiting(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting would not help: a table is missing."""
    document = campaign(tmp_path, ["550-at-rcpt@example.com", *people(3)])
    with SmtpServer() as server:
        run = await asyncio.to_thread(sender.prepare, document)
        attempts = tables_of(sender.database, run.id).attempts
        with sender.database.write() as transaction:
            transaction.execute(sa.text(f"DROP TABLE {attempts.name}"))
        message = launch.compiled(document, run.outbox.columns())
        with pytest.raises(DBAPIError, match="attempts"):
            await run.send(connection("red", server), message)
        await run.close()
    assert "is away" not in caplog.text
