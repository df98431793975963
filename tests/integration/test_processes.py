"""A campaign that several processes of one run send: nobody twice, whichever process dies."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import mailsluice
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.slotted_session import SlotSource
from mailsluice.oauth.client import OAuth
from mailsluice.operations.processes import Processes, member
from mailsluice.operations.processes.processes import FreeSlots
from mailsluice.reports.campaign import Report
from mailsluice.reports.progress import Cause
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database, Senders
from tests.children import children, is_gone
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
    processes,
)
from tests.smtpd import Settings, SmtpServer, most_in_a_second
from tests.token_server import TokenServer

SLOW = Settings(delay_seconds=0.002)
pytestmark = [
    pytest.mark.xdist_group("processes"),  # one fork server for all
    pytest.mark.usefixtures("impatience", "forks"),
    pytest.mark.takes_turns,
]
on_sqlite = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
"""For what the run and its processes tell each other over pipes, whatever the database."""


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


class Sent:
    """A run whose processes send."""

    def __init__(self, run: CampaignRun, processes: Processes) -> None:
        self.run = run
        self.processes = processes
        self.results = asyncio.gather(*(processes.result(name) for name in processes.connections))

    def pids(self) -> list[int]:
        return [member.pid for member in self.processes._members]

    async def report(self) -> Report:
        await self.results
        report = await asyncio.to_thread(self.run.report)
        assert self.run.outbox.counts().is_conserved
        return report


@asynccontextmanager
async def sent(
    sender: Sender,
    document: Campaign,
    *connections: Connection,
    count: int = 2,
    slots: Callable[[str], SlotSource[Any]] = lambda _: FreeSlots(),
    on_hold: bool = False,
    locks: Sequence[int] = (),
) -> AsyncIterator[Sent]:
    """The campaign, sent by so many processes."""
    run = await asyncio.to_thread(sender.prepare, document)
    known = {known.name: known for known in connections}
    started = Processes(run, document, known, count, slots, locks)
    try:
        await asyncio.to_thread(run.count)
        run.on_hold = on_hold
        started.start(list(known))
        yield Sent(run, started)
    finally:
        await started.close()
        await run.close()


async def test_two_processes_share_a_connection(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(600))
    with SmtpServer(SLOW) as server:
        async with sent(sender, document, connection("red", server)) as sending:
            report = await sending.report()
            records = Senders(sender.database, sending.run.id).all()
    everybody_once(sender.ledger, {"red": server})
    assert len(records) == 2
    (route,) = report.routes
    assert (route.sent_now, report.open) == (600, 0)


@on_sqlite
async def test_one_process_sends_over_several_connections(sender: Sender, tmp_path: Path) -> None:
    names = ["red", "green", "blue"]
    document = campaign(tmp_path, people(90), names)
    with SmtpServer() as red, SmtpServer() as green, SmtpServer() as blue:
        servers = dict(zip(names, (red, green, blue), strict=True))
        reached = [connection(name, server) for name, server in servers.items()]
        async with sent(sender, document, *reached) as sending:
            assert len(await eventually_async(sending.pids, lambda pids: len(pids) == 2)) == 2
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, servers)


async def test_a_killed_process_is_replaced_and_only_messages_in_flight_are_uncertain(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(300))
    with SmtpServer(SLOW) as server:
        async with sent(sender, document, connection("red", server)) as sending:
            server.hold(after=40)
            await eventually_async(lambda: server.held, lambda held: held == 2)
            killed, survivor = sending.pids()
            os.kill(killed, signal.SIGKILL)
            await eventually_async(sending.pids, lambda pids: len(pids) == 2 and killed not in pids)
            assert survivor in sending.pids()
            server.release()
            report = await sending.report()
    assert set(server.recipients.values()) == {1}
    assert len(server.received) == 300  # the server has the one in doubt
    assert sender.ledger.states() == {"sent": 299, "uncertain": 1}
    assert report.open == 0


async def test_processes_end_with_a_killed_run_and_the_next_run_goes_on(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(300), processes=2)
    url = sender.database.engine.url.render_as_string(hide_password=False)
    with SmtpServer(SLOW) as server:
        reached = connection("red", server)
        server.hold(after=40)
        run = processes().Process(target=run_alone, args=(document, reached, url, tmp_path))
        run.start()
        await eventually_async(lambda: server.held, lambda held: held == 2)
        assert run.pid is not None
        orphans = children(run.pid)
        assert len(orphans) == 2
        run.kill()
        run.join()
        server.release()
        for pid in orphans:
            await eventually_async(partial(is_gone, pid), what="the orphan ends by itself")
        assert len(server.received) < 300
        # What was in flight was finished and recorded, as nothing else has died.
        assert sender.ledger.states()["sent"] == len(server.received)
        async with sent(sender, document, reached) as sending:
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, {"red": server})


@on_sqlite
async def test_a_stop_reaches_all_processes_and_tears_no_message(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(500))
    with SmtpServer(SLOW) as server:
        reached = connection("red", server, per_second=50)
        async with sent(sender, document, reached) as sending:
            await eventually_async(lambda: len(server.received) >= 10)
            sending.run.stop()
            report = await sending.report()
            assert report.open > 0
        assert sender.ledger.states()["sent"] == len(server.received)
        assert set(sender.ledger.states()) == {"sent", "pending"}
        async with sent(sender, document, replace(reached, per_second=None)) as sending:
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, {"red": server})


@on_sqlite
async def test_a_hold_reaches_all_processes(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(200))
    with SmtpServer(SLOW) as server:
        async with sent(sender, document, connection("red", server), on_hold=True) as sending:
            await eventually_async(lambda: standings(sending.run), is_paused)
            assert not server.received
            sending.run.on_hold = False
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, {"red": server})


async def standings(run: CampaignRun) -> list[str]:
    """The stored rows of the processes."""
    return [record.standing or "" for record in await asyncio.to_thread(run.read_senders)]


def is_paused(standings: list[str]) -> bool:
    return len(standings) == 2 and all(Cause.PAUSED.value in standing for standing in standings)


async def test_limits_hold_over_all_processes(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(120), throttle={"per_second": 60})
    with SmtpServer() as server:
        async with sent(sender, document, connection("red", server)) as sending:
            await sending.report()
    everybody_once(sender.ledger, {"red": server})
    assert most_in_a_second(server.received) <= 60


@on_sqlite
async def test_a_changed_connection_reaches_all_processes(sender: Sender, tmp_path: Path) -> None:
    """A limit of one a day stops them, and is lifted while they wait."""
    document = campaign(tmp_path, people(100))
    with SmtpServer() as server:
        reached = connection("red", server, per_day=1)
        async with sent(sender, document, reached) as sending:
            await eventually_async(lambda: len(server.received) == 1)
            await eventually_async(lambda: len(sending.pids()) == 2)
            changed = sending.processes.update(replace(reached, per_day=None))
            assert changed == ["per_day 1 -> none"]
            await sending.report()
    everybody_once(sender.ledger, {"red": server})


@on_sqlite
async def test_a_change_while_processes_start_is_not_lost(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of one a day is lifted after a process got its first order."""
    document = campaign(tmp_path, people(100))
    begun: asyncio.Queue[member.Member] = asyncio.Queue()
    may_go_on = asyncio.Event()
    start = member.Member.started

    async def started(*given: Any) -> member.Member:
        new = await start(*given)
        begun.put_nowait(new)
        await may_go_on.wait()
        return new

    monkeypatch.setattr(member.Member, "started", started)
    with SmtpServer() as server:
        reached = connection("red", server, per_day=1)
        async with sent(sender, document, reached) as sending:
            for _ in range(2):
                await begun.get()
            sending.processes.update(replace(reached, per_day=None))
            may_go_on.set()
            await eventually_async(lambda: len(server.received) == 100)
            await sending.report()
    everybody_once(sender.ledger, {"red": server})


@on_sqlite
async def test_a_process_that_alone_gets_a_signal_to_end_is_replaced(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(90), ["red", "green"])
    with SmtpServer(SLOW) as red, SmtpServer(SLOW) as green:
        servers = {"red": red, "green": green}
        reached = [connection(name, server) for name, server in servers.items()]
        red.hold(after=10)
        async with sent(sender, document, *reached) as sending:
            await eventually_async(lambda: red.held)
            await eventually_async(sending.pids, lambda pids: len(pids) == 1)  # green is sent
            os.kill(sending.pids()[0], signal.SIGTERM)
            await asyncio.sleep(0.2)
            red.release()
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, servers)


@on_sqlite
async def test_a_run_does_not_wait_for_hours_while_a_dead_process_is_replaced(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day's limit of one connection is used up, and the process of another one has died."""
    monkeypatch.setattr("mailsluice.operations.processes.processes._RESTART_SECONDS", (3600.0,))
    document = campaign(tmp_path, people(90), ["red", "green"])
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        spent, reached = connection("red", red, per_day=1), connection("green", green)
        green.hold(after=10)
        async with sent(sender, document, spent, reached) as sending:
            processes = sending.processes
            await eventually_async(lambda: (len(red.received), bool(green.held)) == (1, True))
            waiting, working = await eventually_async(
                lambda: sorted(processes._members, key=lambda member: -member.next_in),
                lambda members: members[0].next_in > 3600,
            )
            assert await processes.next_in() < 60
            working.kill()
            await eventually_async(lambda: working not in processes._members)
            assert [*processes._members] == [waiting]
            assert await processes.next_in() == 0.0
            green.release()
            for task in processes._tasks:
                task.cancel()
            await asyncio.gather(sending.results, return_exceptions=True)
    assert set(servers["green"].recipients.values()) == {1}


class FourSlots:
    """Implements `SlotSource`."""

    def __init__(self) -> None:
        self.free = 4

    async def take(self) -> FreeSlots.Slot:
        assert self.free, "no more sessions are opened than the processes have together"
        self.free -= 1
        return FreeSlots.Slot()

    def release(self, slot: FreeSlots.Slot) -> None:
        self.free += 1

    def dismiss(self) -> None: ...


@on_sqlite
async def test_processes_borrow_the_runs_slots_and_a_dead_ones_slots_are_free_again(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200))
    slots = FourSlots()
    with SmtpServer(SLOW) as server:
        reached = connection("red", server, max_sessions=4)
        async with sent(sender, document, reached, slots=lambda _: slots) as sending:
            server.hold(after=20)
            await eventually_async(lambda: server.held == 4)
            assert slots.free == 0
            os.kill(sending.pids()[0], signal.SIGKILL)
            await eventually_async(lambda: server.sessions > 4, what="its slots are used again")
            server.release()
            await sending.report()
    assert set(server.recipients.values()) == {1}
    assert slots.free == 4


async def test_what_the_run_has_locked_is_locked_until_its_processes_have_ended(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(60))
    lock = locked(path := tmp_path / "lock")
    assert lock is not None
    with SmtpServer(SLOW) as server:
        server.hold(after=10)
        async with sent(sender, document, connection("red", server), locks=[lock]) as sending:
            await eventually_async(lambda: server.held == 2)
            os.close(lock)  # as the system does when the run is killed
            assert locked(path) is None
            server.release()
            await sending.report()
    free = locked(path)
    assert free is not None
    os.close(free)


def locked(path: Path) -> int | None:
    """The descriptor of the locked file; None where another process has locked it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


@on_sqlite
async def test_processes_log_in_with_the_runs_access_tokens(sender: Sender, tmp_path: Path) -> None:
    """All sessions of all processes share one exchange, and a new refresh token is kept once."""
    document = campaign(tmp_path, people(100))
    rotated: list[tuple[str, SecretStr, SecretStr]] = []
    with (
        TokenServer(rotates=True) as granting,
        SmtpServer(Settings(auth_methods=("XOAUTH2",), token_holds=granting.holds)) as server,
    ):
        reached = connection(
            "red",
            server,
            username="mailbox",
            allow_plain_password=True,
            oauth=OAuth(**granting.oauth()),
        )
        run = await asyncio.to_thread(sender.prepare, document)
        run.tokens.on_rotated = lambda *given: rotated.append(given)
        await run.close()
        async with sent(sender, document, reached) as sending:
            sending.run.tokens.on_rotated = lambda *given: rotated.append(given)
            assert (await sending.report()).open == 0
    everybody_once(sender.ledger, {"red": server})
    assert len(rotated) == 1


@on_sqlite
async def test_processes_that_die_again_and_again_are_given_up(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsluice.operations.processes.member._CHILD", "no.such.module")
    document = campaign(tmp_path, people(10))
    with SmtpServer() as server:
        async with sent(sender, document, connection("red", server)) as sending:
            with pytest.raises(
                CampaignError,
                match="over red end again and again, the last one because it ended with code 1",
            ):
                await sending.report()
    assert sender.ledger.states() == {"pending": 10}


def test_a_document_may_ask_for_processes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    document = campaign(tmp_path, people(100), processes=2)
    url = database.engine.url.render_as_string(hide_password=False)
    with SmtpServer() as server:
        assert mailsluice.plan(document, [connection("red", server)], database=url).processes == 2
        report = mailsluice.send(document, [connection("red", server)], database=url)
    assert (report.sent_now, report.open) == (100, 0)
    everybody_once(Sender(database, tmp_path).ledger, {"red": server})


def test_a_process_loads_neither_prefect_nor_what_only_a_launch_needs() -> None:
    """Each process is a fresh interpreter, which pays for all that it loads."""
    code = f"import json, sys, {member._CHILD}; print(json.dumps([*sys.modules]))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    packages = {name.partition(".")[0] for name in json.loads(output)}
    assert not packages & {"prefect", "blocks", "flows", "pandas", "numpy", "alembic", "httpx"}


def run_alone(document: Campaign, reached: Connection, url: str, home: Path) -> None:
    """The process that is killed."""
    os.environ["MAILSLUICE_HOME"] = str(home)
    mailsluice.send(document, [reached], database=url, day=Sender.day)
