"""A run after one that died: which run owns the recipients, and what became of them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import sqlalchemy as sa

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.errors import CampaignBusyError
from mailsluice.delivery import CampaignRun, lease
from mailsluice.delivery import journal as module
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.lease import Lease
from mailsluice.operations import launch
from mailsluice.store import Database
from mailsluice.store.schema import campaigns
from tests.eventually import eventually, eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, people, processes
from tests.smtpd import DROP, Fault, SmtpServer, Stage


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path / "here")


def die(
    run: CampaignRun, claimed: int, dots: int = 0, replies: dict[int, int] | None = None
) -> None:
    """Leave everything as a run does that is killed after so many claims.

    The first `dots` of them had their final dot written, some a reply read.
    """
    with run._database.write() as transaction:
        rows = run.outbox.claim(transaction, "red", claimed)
    for row in rows[:dots]:
        run._journal.dot(row.id)
        if code := (replies or {}).get(row.id - rows[0].id):
            run._journal.reply(row.id, code)
    run._lease._renewal.close()
    run._journal.close()


async def test_the_journal_tells_claimed_from_sent(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(10))
    die(sender.prepare(document), claimed=8, dots=4, replies={0: 250, 1: 550, 2: 450})
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 7
        assert set(server.recipients.values()) == {1}
    # four had a dot: one was accepted, one refused, one deferred (and sent now), one is in doubt
    assert sender.ledger.states() == {"sent": 8, "failed": 1, "uncertain": 1}


@pytest.mark.parametrize(
    ("policy", "received", "states"),
    [
        (UncertainPolicy.HOLD, 5, {"sent": 5, "uncertain": 3}),
        (UncertainPolicy.RESEND, 8, {"sent": 8}),
        (UncertainPolicy.ASSUME_SENT, 5, {"sent": 8}),
    ],
)
async def test_the_policy_decides_about_recipients_in_doubt(
    policy: UncertainPolicy,
    received: int,
    states: dict[str, int],
    sender: Sender,
    tmp_path: Path,
) -> None:
    document = campaign(tmp_path, people(8), uncertain=policy)
    die(sender.prepare(document), claimed=6, dots=3)
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == received
    assert sender.ledger.states() == states


@pytest.mark.parametrize("policy", list(UncertainPolicy))
async def test_the_policy_holds_for_a_link_that_breaks_after_the_dot_too(
    policy: UncertainPolicy, sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(4), uncertain=policy)
    lost = {"user1": Fault(Stage.DOT, DROP, times=1)}
    with SmtpServer(faults=lost) as server:
        await sender.send(document, [connection("red", server)])
        copies = server.recipients["user1@example.com"]
    expected = {
        UncertainPolicy.HOLD: ("uncertain", 1, 0),
        UncertainPolicy.RESEND: ("sent", 2, 1),
        UncertainPolicy.ASSUME_SENT: ("sent", 1, 0),
    }
    row = sender.ledger.rows()["user1@example.com"]
    assert (row.status, row.attempts, copies) == expected[policy]


def lose(journal: Path) -> None:
    journal.unlink()


def tear(journal: Path) -> None:
    data = bytearray(journal.read_bytes())
    data[module._SLOTS_AT + 2] ^= 0xFF
    journal.write_bytes(data)


def cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:100])


@pytest.mark.parametrize("damage", [lose, tear, cut])
async def test_without_a_journal_every_claimed_recipient_is_in_doubt(
    damage: Callable[[Path], None], sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(10))
    die(sender.prepare(document), claimed=6, dots=1)
    (journal,) = (sender.home / "journals").glob("*.journal")
    damage(journal)
    sender.ledger.update(lease_until=0.0)  # without the file only the lease tells that it is dead
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 4
    assert sender.ledger.states() == {"sent": 4, "uncertain": 6}


async def test_a_dead_run_of_another_machine_is_taken_over_when_its_lease_has_expired(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(10))
    die(Sender(sender.database, tmp_path / "elsewhere").prepare(document), claimed=6)
    sender.ledger.update(lease_until=0.0)
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 4
    assert sender.ledger.states() == {"sent": 4, "uncertain": 6}


def replace_waits(monkeypatch: pytest.MonkeyPatch, wait: Callable[[float], None]) -> None:
    """Replace the waits for a lease, and those of no other thread."""
    monkeypatch.setattr(lease, "time", SimpleNamespace(time=time.time, sleep=wait))


@pytest.fixture
def no_lease_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease holds for most of a minute, so a run that waits for its end fails this test."""

    def waited(_: float) -> None:
        raise AssertionError("it waits for the lease of the dead run")

    replace_waits(monkeypatch, waited)


@pytest.mark.usefixtures("no_lease_is_waited_for")
async def test_on_the_same_machine_a_dead_run_is_taken_over_at_once(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(3))
    die(sender.prepare(document), claimed=2)
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 3


@pytest.mark.usefixtures("no_lease_is_waited_for")
async def test_a_run_that_died_between_its_lease_and_its_journal_is_taken_over_at_once(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = campaign(tmp_path, people(3))
    die(sender.prepare(document), claimed=2, dots=1)

    def killed(_: Journal) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "start", killed)
        patch.setattr(Lease, "close", lambda lease: lease._renewal.close())
        with pytest.raises(KeyboardInterrupt):
            sender.prepare(document)
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 2
    assert sender.ledger.states() == {"sent": 2, "uncertain": 1}


async def test_a_run_whose_journal_was_deleted_is_not_displaced(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = campaign(tmp_path, people(3))
    first = await asyncio.to_thread(sender.prepare, document, "brave-fox")
    for path in (sender.home / "journals").glob("*.journal"):
        path.unlink()
    replace_waits(monkeypatch, lambda _: first._lease.confirm())
    try:
        with pytest.raises(CampaignBusyError, match="brave-fox"):
            await asyncio.to_thread(sender.prepare, document, "late-owl")
        first._lease.confirm()
    finally:
        await first.close()


def hold(url: str, folder: Path) -> None:
    """Hold the campaign until this process is killed, its lease renewed as often as can be."""
    lease._RENEW_SECONDS = 0.05
    with Database(url) as database:
        run = Sender(database, folder / "here").prepare(campaign(folder, people(3)), "brave-fox")
        with database.write() as transaction:
            run.outbox.claim(transaction, "red", 2)
        (folder / "ready").touch()
        threading.Event().wait()


def test_a_process_outlives_its_journal_and_even_its_lease_but_no_kill(
    sender: Sender, tmp_path: Path
) -> None:
    """Only whether the process exists counts, whatever the files and the clocks say."""
    url = sender.database.engine.url.render_as_string()
    holder = processes().Process(target=hold, args=(url, tmp_path))
    holder.start()
    try:
        eventually((tmp_path / "ready").exists)
        (journal,) = (sender.home / "journals").glob("*.journal")
        journal.unlink()
        document = campaign(tmp_path, people(3))
        with pytest.raises(CampaignBusyError, match="brave-fox"):
            sender.prepare(document, "late-owl")
        process = psutil.Process(holder.pid)
        with sender.database.write():  # so that it is not stopped while it holds the write lock
            process.suspend()  # it cannot renew
            eventually(process.status, lambda status: status == psutil.STATUS_STOPPED)
        sender.ledger.update(lease_until=0.0)
        heir = threading.Thread(target=lambda: runs.append(sender.prepare(document, "late-owl")))
        runs: list[CampaignRun] = []
        heir.start()
        heir.join(0.5)
        assert not runs  # it lives
        os.kill(holder.pid or 0, signal.SIGKILL)
        heir.join()
        (run,) = runs
        assert run.recovered.uncertain == 2  # without its journal this is unknown
        asyncio.run(run.close())
    finally:
        holder.kill()
        holder.join()


async def test_a_copy_of_a_journal_is_ignored(sender: Sender, tmp_path: Path) -> None:
    """A copy may be older than the claims, and then lacks their dots."""
    document = campaign(tmp_path, people(4))
    run = sender.prepare(document)
    (journal,) = (sender.home / "journals").glob("*.journal")
    copy = journal.read_bytes()
    die(run, claimed=2, dots=2)
    journal.rename(journal.with_suffix(".old"))
    journal.write_bytes(copy)
    sender.ledger.update(lease_until=0.0)
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 2
    assert sender.ledger.states() == {"sent": 2, "uncertain": 2}


def test_a_run_that_was_taken_over_claims_nothing_more(sender: Sender, tmp_path: Path) -> None:
    """A machine that was paused does not know that its lease has expired."""
    document = campaign(tmp_path, people(3))
    run = sender.prepare(document)
    with sender.database.write() as transaction:
        assert run._lease.may_claim(transaction)
    sender.ledger.update(owner="heir")
    with sender.database.write() as transaction:
        assert not run._lease.may_claim(transaction)
    assert run._stopping  # and the recipients that it holds are not sent to either
    assert not run._is_held()
    asyncio.run(run.close())


async def test_a_second_run_on_this_machine_is_refused_at_once_naming_the_first(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(3))
    first = sender.prepare(document, "brave-fox")
    try:
        with pytest.raises(CampaignBusyError, match="brave-fox"):
            sender.prepare(document, "late-owl")
    finally:
        await first.close()
    await sender.prepare(document, "late-owl").close()


async def test_the_same_run_tried_again_elsewhere_does_not_rob_the_living_one(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orchestrator may take a living run for dead, and start it again under its name."""
    document = campaign(tmp_path, people(3))
    elsewhere = Sender(sender.database, tmp_path / "elsewhere")
    first = await asyncio.to_thread(elsewhere.prepare, document, "brave-fox")

    def renew(_: float) -> None:
        first._lease.confirm()  # what its thread does every few seconds

    replace_waits(monkeypatch, renew)
    try:
        with pytest.raises(CampaignBusyError, match="brave-fox"):
            await asyncio.to_thread(sender.prepare, document, "brave-fox")
    finally:
        await first.close()


async def test_a_run_that_has_lost_its_lease_changes_nothing_of_the_new_run(
    sender: Sender, tmp_path: Path
) -> None:
    """Say, a machine that was asleep: its claims are the new run's to judge, not the other way."""
    document = campaign(tmp_path, people(8))
    sleeper = sender.prepare(document, "sleeper")
    sender.ledger.update(lease_until=0.0)
    heir = Sender(sender.database, tmp_path / "elsewhere").prepare(document, "heir")
    try:
        with sender.database.write() as transaction:
            taken = heir.outbox.claim(transaction, "red", 5)
        assert len(taken) == 5
        with pytest.raises(CampaignBusyError, match="heir"):
            sleeper.report()
        assert sender.ledger.states() == {"sending": 5, "pending": 3}
        with sender.database.read() as reader:
            assert "heir" in reader.execute(sa.select(campaigns.c.owner)).scalar_one()
    finally:
        await sleeper.close()
        await heir.close()


async def test_a_run_that_loses_its_lease_while_it_sends_ends(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsluice.delivery.lease._RENEW_SECONDS", 0.05)
    document = campaign(tmp_path, people(50), throttle={"per_hour": 6})
    run = await asyncio.to_thread(sender.prepare, document, "sleeper")
    try:
        message = launch.compiled(document, run.outbox.columns())
        with SmtpServer() as server:
            sending = asyncio.ensure_future(run.send(connection("red", server), message))
            await eventually_async(lambda: len(server.received))
            sender.ledger.update(owner="heir")
            await sending
            assert len(server.received) < 5
    finally:
        await run.close()
    assert sender.ledger.states().keys() <= {"sent", "pending"}


async def test_a_deferred_recipient_keeps_its_time_over_a_restart(
    sender: Sender, tmp_path: Path
) -> None:
    later = {"max_attempts": 3, "first_delay_seconds": 3_000, "max_delay_seconds": 3_000}
    document = campaign(tmp_path, ["450-at-rcpt@example.com", *people(2)], retry=later)
    with SmtpServer() as server:
        run = await asyncio.to_thread(sender.prepare, document)
        message = launch.compiled(document, run.outbox.columns())
        sending = asyncio.ensure_future(run.send(connection("red", server), message))
        await eventually_async(
            sender.ledger.states, lambda seen: seen == {"deferred": 1, "sent": 2}
        )
        run.stop()
        await sending
        run.report()
        await run.close()
    before = sender.ledger.rows()["450-at-rcpt@example.com"]
    await sender.prepare(document).close()
    after = sender.ledger.rows()["450-at-rcpt@example.com"]
    assert before == after
    assert before.next_attempt_at is not None
    assert before.history == [("rcpt", "deferred", 450)]


async def test_waiting_for_a_deferred_recipient_outlives_idle_sessions(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends meanwhile; a new one is opened when the recipient is due."""
    monkeypatch.setattr("mailsluice.delivery.envelope_queue._IDLE_SECONDS", 0.001)
    later = {"first_delay_seconds": 1, "max_delay_seconds": 1}
    document = campaign(tmp_path, ["450-at-rcpt-once.1@example.com"], retry=later)
    with SmtpServer() as server:
        target = connection("red", server, max_sessions=1)
        await sender.send(document, [target])
        assert server.sessions == 2
    assert sender.ledger.states() == {"sent": 1}
