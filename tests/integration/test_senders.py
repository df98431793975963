"""Several senders share one connection: nobody gets the mail twice, dead senders are taken over.

Each sender is an object of its own here, with its own engine, journal and connections to the
database, as in a process of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.core.errors import CampaignError, SenderLostError
from mailsluice.delivery import SenderRun
from mailsluice.delivery.journal import holder
from mailsluice.limits import Limit, Rules
from mailsluice.reports.progress import Cause
from mailsluice.store import (
    Ask,
    Database,
    Ending,
    Senders,
    Usages,
)
from mailsluice.store.schema import recipients, senders
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.integration.sender_runs import (
    MANY,
    SLOW,
    conclude,
    impatience,
    parent,
    send,
    sender,
    shard,
    shared_by_two,
)
from tests.smtpd import Settings, SmtpServer

__all__ = ["impatience", "sender"]

pytestmark = pytest.mark.takes_turns


async def test_two_senders_share_the_recipients_of_a_connection(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(300))
    with SmtpServer(SLOW) as server:
        results, report = await shared_by_two(sender, document, server)
    assert sum(result.sent for result in results) == 300
    assert all(result.sent > 0 for result in results)
    everybody_once(sender.ledger, {"red": server})
    assert report.open == 0
    (route,) = report.routes
    assert route.sent_now == 300


async def test_each_sender_sends_over_its_connection_alone(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(40), ["red", "green"])
    with SmtpServer() as red, SmtpServer() as green:
        async with (
            parent(sender, document) as run,
            shard(sender, document, "red") as one,
            shard(sender, document, "green") as other,
        ):
            await send(one, document, connection("red", red))
            await send(other, document, connection("green", green))
            assert (await conclude(run)).open == 0
    everybody_once(sender.ledger, {"red": red, "green": green})


@pytest.mark.parametrize("home", ["one", "another"])
async def test_the_recipients_of_a_dead_sender_are_taken_over(
    sender: Sender, tmp_path: Path, home: str
) -> None:
    """A sender's journal says who got the mail; without one, all that it claimed may have."""
    document = campaign(tmp_path, people(200))
    with SmtpServer(SLOW) as server:
        target = connection("red", server)
        async with AsyncExitStack() as stack:
            run = await stack.enter_async_context(parent(sender, document))
            living = await stack.enter_async_context(shard(sender, document))
            dead = SenderRun(
                sender.database, document, "red", owner="dead", home=sender.home / home
            )
            with sender.database.write() as transaction:
                claimed = dead.outbox.claim(transaction, "red", 20)
            dead._journal.dot(claimed[0].id)
            dead._journal.dot(claimed[1].id)
            dead._journal.reply(claimed[1].id, 250)
            dead._renewal.close()
            dead._journal.close()
            sending = asyncio.ensure_future(send(living, document, target))
            if home == "another":
                await until_sent(server, 180)
                assert not sending.done()  # the sender may still live
                expire(sender.database, dead._sender_id)
            await sending
            report = await conclude(run)
    if home == "one":
        assert sender.ledger.states() == {"sent": 199, "uncertain": 1}
        assert len(server.received) == 198
        assert not list((sender.home / home / "journals").glob("sender-*"))
    else:
        assert sender.ledger.states() == {"sent": 180, "uncertain": 20}
        assert len(server.received) == 180
    assert set(server.recipients.values()) == {1}
    assert report.open == 0


async def test_the_campaigns_run_takes_over_where_no_sender_is_left(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(10))
    async with parent(sender, document) as run:
        dead = SenderRun(sender.database, document, "red", owner="dead", home=sender.home)
        with sender.database.write() as transaction:
            dead.outbox.claim(transaction, "red", 10)
        dead._renewal.close()
        dead._journal.close()
        (record,) = await asyncio.to_thread(run.read_senders)
        assert record.ending is Ending.LOST
    assert sender.ledger.states() == {"pending": 10}


async def test_the_starts_that_a_dead_sender_has_not_used_are_free_for_others(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(10))
    rules = {"connection red": Rules((Limit(10, 3600.0),))}

    def reserve(name: str) -> int:
        ask = Ask(name, rules, open=0, replies=(), most=10, horizon_seconds=3600.0, answered=0)
        with sender.database.write() as transaction:
            (starts,) = Usages(sender.database).reserve(transaction, [ask])
        return len(starts.moments)

    async with parent(sender, document) as run:
        dead = SenderRun(sender.database, document, "red", owner="dead", home=sender.home)
        assert reserve(holder(dead._journal.id, "red")) == 10
        dead._journal.account("red")(1, 2)  # one message in flight, two replies
        dead._renewal.close()
        dead._journal.close()
        assert reserve("another") == 0
        await asyncio.to_thread(run.read_senders)
        assert reserve("another") == 7


async def test_a_sender_that_was_taken_over_claims_nothing_more(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(MANY))
    with SmtpServer() as server:
        server.hold(after=10)
        async with parent(sender, document), shard(sender, document, home="another") as slow:
            sending = asyncio.ensure_future(send(slow, document, connection("red", server)))
            await eventually_async(lambda: server.held, lambda held: held == 2)
            with sender.database.write() as transaction:
                assert Senders(sender.database, slow.id).lose(transaction, slow._sender_id)
            server.release()
            with pytest.raises(SenderLostError):
                await sending
    assert 10 <= len(server.received) < MANY
    states = sender.ledger.states()
    assert states["sent"] == len(server.received)
    assert states["pending"] == MANY - states["sent"]


async def test_all_senders_wait_for_a_deferred_recipient_which_is_sent_once(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, ["later@example.com", *people(30)])
    faults = {"later@example.com": 450}
    server = SmtpServer(Settings(delay_seconds=0.001))
    with server:
        async with (
            parent(sender, document) as run,
            shard(sender, document) as one,
            shard(sender, document) as other,
        ):
            with sender.database.write() as transaction:
                transaction.execute(
                    sa.update(recipients)
                    .where(recipients.c.email.in_(list(faults)))
                    .values(
                        status="deferred",
                        attempts=1,
                        next_attempt_at=sender.database.now + 0.5,
                    )
                )
            target = connection("red", server)
            await asyncio.gather(*(send(each, document, target) for each in (one, other)))
            assert (await conclude(run)).open == 0
    everybody_once(sender.ledger, {"red": server})


async def test_a_stop_releases_claimed_recipients(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(1_000))
    with SmtpServer() as server:
        server.hold(after=10)
        target = connection("red", server)
        async with parent(sender, document):
            async with shard(sender, document) as one:
                sending = asyncio.ensure_future(send(one, document, target))
                await until_sent(server, 11)
                one.stop()
                server.release()
                await sending
            assert set(sender.ledger.states()) == {"sent", "pending"}
            async with shard(sender, document) as other:
                await send(other, document, connection("red", server, max_sessions=16))
    everybody_once(sender.ledger, {"red": server})


async def test_progress_counts_all_senders_together(sender: Sender, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(60))
    with SmtpServer() as server:
        target = connection("red", server)
        async with parent(sender, document) as run:
            async with shard(sender, document) as one:
                await send(one, document, target)
            await asyncio.to_thread(run.read_senders)
            (standing,) = (await run.progress()).standings
    assert (standing.tally.sent, standing.tally.left) == (60, 0)
    assert standing.binding.cause is Cause.DONE


async def test_a_connection_that_is_down_is_known_to_the_campaigns_run(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(5))
    with SmtpServer(Settings(users={"me": "right"})) as server:
        async with parent(sender, document) as run, shard(sender, document) as one:
            wrong = connection(
                "red", server, username="me", password="wrong", allow_plain_password=True
            )
            result = await send(one, document, wrong)
            assert result.down
            report = await conclude(run)
    assert report.down == {"red": result.down}
    assert sender.ledger.states() == {"pending": 5}


async def test_a_sender_that_cannot_search_for_dead_senders_goes_on(
    sender: Sender,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def unreadable(*_: object) -> int:
        raise PermissionError("journals")

    document = campaign(tmp_path, people(100))
    with SmtpServer(SLOW) as server:
        async with parent(sender, document), shard(sender, document) as one:
            monkeypatch.setattr("mailsluice.delivery.sender_run.take_over", unreadable)
            sending = asyncio.ensure_future(send(one, document, connection("red", server)))
            await eventually_async(lambda: "the search for dead senders failed" in caplog.text)
            await sending
            assert one._renewal.held()
            assert not one._renewal.lost
    everybody_once(sender.ledger, {"red": server})


async def test_nothing_is_sent_for_a_campaign_that_has_ended(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(5))
    with SmtpServer() as server:
        await sender.send(document, [connection("red", server)])
    with pytest.raises(CampaignError, match="completed: nothing is sent"):
        SenderRun(sender.database, document, "red", owner="late", home=sender.home)
    assert not list((sender.home / "journals").glob("sender-*"))


async def until_sent(server: SmtpServer, number: int) -> None:
    await eventually_async(lambda: len(server.received) >= number)


def expire(database: Database, sender_id: int) -> None:
    """The sender's machine has been silent for too long."""
    with database.write() as transaction:
        transaction.execute(
            sa.update(senders).where(senders.c.id == sender_id).values(lease_until=0.0)
        )
