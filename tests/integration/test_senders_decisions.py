"""Senders of one connection decide together: about refusals, a canary, and what is held."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from mailsluice.reports.progress import Cause
from mailsluice.stop_loss import Figures, Unit
from mailsluice.store import (
    Canaries,
    Holds,
    NewHold,
    Providers,
)
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.integration.sender_runs import (
    SLOW,
    conclude,
    impatience,
    parent,
    send,
    sender,
    shard,
    shared_by_two,
)
from tests.smtpd import Everybody, Fault, Settings, SmtpServer, Stage

__all__ = ["impatience", "sender"]

pytestmark = pytest.mark.takes_turns


async def test_the_last_recipients_may_be_refused_to_several_senders_and_all_end(
    sender: Sender, tmp_path: Path
) -> None:
    """Each sender waits for recipients of the other, while both hold suspects."""
    document = campaign(tmp_path, people(100))
    refusal = Everybody(96, Fault(Stage.RCPT, b"550 5.1.1 User unknown"))
    with SmtpServer(Settings(delay_seconds=0.002, everybody=refusal)) as server:
        _, report = await shared_by_two(sender, document, server)
    assert len(server.received) >= 96
    left = 100 - len(server.received)  # failed, or where one sender had all of them, held
    assert sender.ledger.states() in ({"sent": 100 - left, "failed": left}, *_held(left))
    assert (report.open > 0) == ("red" in report.down)


def _held(left: int) -> list[dict[str, int]]:
    held = [
        {"sent": 100 - left, "failed": left - pending, "pending": pending}
        for pending in range(1, left)
    ]
    return [*held, {"sent": 100 - left, "pending": left}]


async def test_a_connection_that_refuses_everybody_is_down_for_all_its_senders(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200))
    refusal = Everybody(40, Fault(Stage.RCPT, b"550 Invalid recipient"))
    with SmtpServer(Settings(delay_seconds=0.002, everybody=refusal)) as server:
        results, _ = await shared_by_two(sender, document, server)
        sent = len(server.received)
    assert all("Invalid recipient" in (result.down or "") for result in results)
    assert sender.ledger.states() == {"sent": sent, "pending": 200 - sent}


async def test_no_sender_goes_beyond_the_canary_and_all_follow_its_decision(
    sender: Sender, tmp_path: Path
) -> None:
    limits = {"bounce_percent": 5}
    document = campaign(
        tmp_path, people(200), canary={"percent": 10, "wait_minutes": 60}, stop_loss=limits
    )
    with SmtpServer() as server:
        target = connection("red", server)
        async with parent(sender, document) as run, shard(sender, document) as one:
            sending = [asyncio.ensure_future(send(one, document, target))]
            canaries = Canaries(sender.database, run.id)
            (canary,) = canaries.undecided()
            await eventually_async(lambda: canaries.begin_wait(canary, 3_600), what="it is sent")
            await eventually_async(one.next_in, lambda seconds: seconds > 3_000)
            async with shard(sender, document, home="two") as late:
                sending.append(asyncio.ensure_future(send(late, document, target)))
                await eventually_async(late.next_in, lambda seconds: seconds > 3_000)
                assert len(server.received) == 20
                (standing,) = (await one.progress()).standings
                assert standing.binding.cause is Cause.CANARY
                late.stop()
                one.stop()
                await asyncio.gather(*sending)
            canaries.decide("red")
            async with shard(sender, document) as last:
                await send(last, document, target)
            report = await conclude(run)
    assert report.open == 0
    everybody_once(sender.ledger, {"red": server})


async def test_a_sender_learns_what_is_held_from_the_database(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, [*people(100), *people(100, "gmail.com")])
    with SmtpServer(SLOW) as server:
        target = connection("red", server)
        async with parent(sender, document) as run:
            (google,) = (
                number
                for number, name in Providers(sender.database).of(run.id).items()
                if name == "google"
            )
            server.hold(after=20)
            async with shard(sender, document) as one:
                sending = asyncio.ensure_future(send(one, document, target))
                await eventually_async(lambda: len(server.received), lambda seen: seen >= 20)
                Holds(sender.database, run.id).add(
                    [NewHold(Unit("red", google), "bounced", 5.0, {})]
                )
                await eventually_async(lambda: Unit("red", google) in one._held)
                server.release()
                await sending
            figures = await run.figures()
            await asyncio.to_thread(run.read_senders)
            assert Figures.total((await run.figures()).values()).sent == len(server.received)
            assert figures == {}
            report = await conclude(run)
    by_domain = Counter(email.partition("@")[2] for email in server.recipients)
    assert by_domain["example.com"] == 100
    assert by_domain["gmail.com"] < 100
    assert report.open == 100 - by_domain["gmail.com"]
