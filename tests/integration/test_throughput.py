"""The strategy `throughput`: recipients get their connection when it claims them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from mailsluice.core.status import UNCLAIMED
from mailsluice.delivery import CampaignRun
from mailsluice.operations.accounts import tally, verify
from mailsluice.operations.review import plan
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.smtp.connection import Connection
from mailsluice.stop_loss import Decision, Unit
from mailsluice.store import ClaimScope, Database, Holds, NewHold
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.integration.test_processes import sent
from tests.smtpd import Settings, SmtpServer

pytestmark = [
    pytest.mark.xdist_group("processes"),
    pytest.mark.usefixtures("impatience", "forks"),
    pytest.mark.takes_turns,
]
NAMES = ("red", "green")


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


@pytest.fixture
def run(sender: Sender, tmp_path: Path) -> CampaignRun:
    """A launched campaign of ten recipients in the pool."""
    return sender.prepare(campaign(tmp_path, people(10), NAMES, strategy="throughput"))


def owners(sender: Sender) -> Counter[str]:
    return Counter(row.connection for row in sender.ledger.rows().values())


def test_a_claim_takes_recipients_from_the_pool_for_good(run: CampaignRun, sender: Sender) -> None:
    assert owners(sender) == {UNCLAIMED: 10}
    with sender.database.write() as transaction:
        red = run.outbox.claim_from_pool(transaction, "red", 3)
        green = run.outbox.claim_from_pool(transaction, "green", 4, red[-1].id)
    assert [row.id for row in red + green] == sorted({row.id for row in red + green})
    assert owners(sender) == {UNCLAIMED: 3, "red": 3, "green": 4}
    with sender.database.write() as transaction:
        assert not run.outbox.claim(transaction, "red", 10)
        assert run.outbox.first_pending(transaction, UNCLAIMED, green[-1].id, ClaimScope())
        assert not run.outbox.first_pending(transaction, "red", 0, ClaimScope())
    asyncio.run(run.close())


def test_recipients_return_to_the_pool_before_their_first_attempt_only(
    run: CampaignRun, sender: Sender
) -> None:
    with sender.database.write() as transaction:
        rows = run.outbox.claim_from_pool(transaction, "red", 2)
        transaction.exec_driver_sql(f"UPDATE recipients SET attempts = 1 WHERE id = {rows[0].id}")
        run.outbox.release(transaction, [row.id for row in rows])
    assert owners(sender) == {UNCLAIMED: 9, "red": 1}
    with sender.database.write() as transaction:
        assert [row.id for row in run.outbox.claim(transaction, "red", 5)] == [rows[0].id]
        assert run.outbox.claim_from_pool(transaction, "green", 1)[0].id == rows[1].id
    asyncio.run(run.close())


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_two_transactions_claim_different_recipients(run: CampaignRun, sender: Sender) -> None:
    with sender.database.write() as first, sender.database.write() as second:
        red = {row.id for row in run.outbox.claim_from_pool(first, "red", 6)}
        green = {row.id for row in run.outbox.claim_from_pool(second, "green", 6)}
    assert (len(red), len(green), red & green) == (6, 4, set())
    asyncio.run(run.close())


def test_the_plan_computes_the_shares_and_the_end(sender: Sender, tmp_path: Path) -> None:
    """20 and 10 a minute are two thirds and one third: 600 recipients take 20 minutes."""
    document = campaign(tmp_path, people(600), NAMES, strategy="throughput")
    known = [
        Connection(name, "127.0.0.1", 25, per_minute=pace)
        for name, pace in zip(NAMES, (20, 10), strict=True)
    ]
    url = sender.database.engine.url.render_as_string(hide_password=False)
    planned = plan(document, known, database=url)
    assert [(part.connection, part.count) for part in planned.connections] == [
        ("red", 400),
        ("green", 200),
    ]
    assert {part.lasts for part in planned.connections} == {"20.0 minutes"}
    assert "each connection claims what it can send" in planned.markdown()
    run = sender.prepare(document)
    assert planned.digest == run.campaigns.get(document.name).assignment_digest
    asyncio.run(run.close())


def test_the_report_has_the_computed_shares_and_the_recipients_that_nobody_has_claimed(
    run: CampaignRun, sender: Sender
) -> None:
    with sender.database.write() as transaction:
        run.outbox.claim_from_pool(transaction, "red", 4)
    report = stored_report(sender.database, "spring-sale")
    assert [(route.title, route.recipients) for route in report.routes] == [
        ("red", 4),
        ("green", 0),
        ("not claimed yet", 6),
    ]
    assert report.open == 10
    shares = [report.planned_share(route) for route in report.routes]
    assert shares == [pytest.approx(0.5), pytest.approx(0.5), 0.0]
    asyncio.run(run.close())


def test_who_may_not_be_sent_to_over_any_connection_is_cancelled_in_the_pool(
    run: CampaignRun, sender: Sender
) -> None:
    holds = Holds(sender.database, run.id)

    def stop(*units: Unit) -> Counter[str]:
        for hold in holds.add([NewHold(unit, "blocked", None, {}) for unit in units]):
            holds.decide(hold.id, Decision.STOP)
        holds.cancel_stopped()
        return sender.ledger.states()

    assert stop(Unit("red", 1)) == {"pending": 10}
    assert stop(Unit("green", 2)) == {"pending": 10}
    assert stop(Unit("green")) == {"cancelled": 10}  # all are at provider 1
    asyncio.run(run.close())


async def test_the_faster_connection_sends_more_to_every_domain(
    sender: Sender, tmp_path: Path
) -> None:
    """As by lot: within four standard deviations of a random sample."""
    sizes = {"large.example": 300, "middle.example": 200, "small.example": 100}
    emails = [email for domain, size in sizes.items() for email in people(size, domain)]
    document = campaign(tmp_path, emails, NAMES, strategy="throughput")
    slow = Settings(delay_seconds=0.05)
    with SmtpServer() as red, SmtpServer(slow) as green:
        reached = [connection("red", red), connection("green", green)]
        report = await sender.send(document, reached)
        assert len(green.received) < len(red.received)
    everybody_once(sender.ledger, {"red": red, "green": green})
    assert report.open == 0
    share = len(red.received) / len(emails)
    domains = Counter(email.partition("@")[2] for email in red.recipients)
    for domain, size in sizes.items():
        deviation = (size * share * (1 - share)) ** 0.5
        assert abs(domains[domain] - size * share) <= 4 * deviation + 1
    verification = verify(tally(sender.database, document.name))
    assert verification.is_conserved, verification.summary()


async def test_the_others_send_what_a_connection_that_is_down_has_not_attempted(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200), NAMES, strategy="throughput")
    with SmtpServer() as red, SmtpServer(Settings(users={"me": "secret"})) as green:
        reached = [connection("red", red), connection("green", green, username="me", password="x")]
        report = await sender.send(document, reached)
    assert len(red.received) == 200
    assert not green.received
    assert report.down.keys() == {"green"}
    assert owners(sender) == {"red": 200}


async def test_connections_whose_quotas_are_used_up_say_so(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """Nobody is deferred: the recipients that are left are in the pool."""
    sender = Sender(sqlite_database, tmp_path)
    document = campaign(tmp_path, people(9), NAMES, strategy="throughput")
    run = await asyncio.to_thread(sender.prepare, document)
    await asyncio.to_thread(run.count)

    async def causes() -> list[str]:
        return [one.binding.detail for one in (await run.progress()).standings]

    with SmtpServer() as red, SmtpServer() as green:
        reached = [
            connection(*one, per_month=2, max_sessions=1, messages_per_session=2)
            for one in (("red", red), ("green", green))
        ]
        sending = asyncio.ensure_future(sender.send_prepared(run, document, reached))
        try:
            used_up = [f"{name}'s quota of 2 a month" for name in NAMES]
            await eventually_async(causes, lambda found: found == used_up)
            # Perhaps before the mail is sent: what has begun is in the quota.
            await eventually_async(
                lambda: (len(red.received), len(green.received)), lambda got: got == (2, 2)
            )
        finally:
            run.stop()
            await sending
            await run.close()
    assert owners(sender) == {"red": 2, "green": 2, UNCLAIMED: 5}


async def test_after_a_kill_what_was_not_attempted_is_in_the_pool_again(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(20), NAMES, strategy="throughput")
    run = await asyncio.to_thread(sender.prepare, document)
    with sender.database.write() as transaction:
        rows = run.outbox.claim_from_pool(transaction, "red", 8)
    for row in rows[:3]:
        run._journal.dot(row.id)
    for row in rows[:2]:
        run._journal.reply(row.id, 250)
    run._lease._renewal.close()
    run._journal.close()
    with SmtpServer() as green:
        again = await asyncio.to_thread(sender.prepare, document)
        assert owners(sender) == {UNCLAIMED: 17, "red": 3}
        await sender.send_prepared(again, document, [connection("green", green)])
        await again.close()
    assert sender.ledger.states() == {"sent": 19, "uncertain": 1}
    assert owners(sender) == {"red": 3, "green": 17}


async def test_processes_share_a_pool_and_take_over_from_one_that_is_killed(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(300), NAMES, strategy="throughput")
    slow = Settings(delay_seconds=0.002)
    with SmtpServer(slow) as red, SmtpServer(slow) as green:
        servers = {"red": red, "green": green}
        reached = [connection(name, server, max_sessions=1) for name, server in servers.items()]
        async with sent(sender, document, *reached) as sending:
            red.hold(after=20)
            green.hold(after=20)
            await eventually_async(lambda: red.held + green.held, lambda held: held == 2)
            killed, _ = sending.pids()
            os.kill(killed, signal.SIGKILL)
            await eventually_async(sending.pids, lambda pids: len(pids) == 2 and killed not in pids)
            red.release()
            green.release()
            report = await sending.report()
    received = red.recipients + green.recipients
    assert set(received.values()) == {1}
    assert len(received) == 300
    assert sender.ledger.states() == {"sent": 299, "uncertain": 1}
    assert report.open == 0
