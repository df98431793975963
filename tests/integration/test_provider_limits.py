"""Limits by mailbox provider hold at the server, and delay nobody else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.campaign import ProviderThrottle
from mailsluice.delivery.journal import JournalContents, _digest, account_name
from mailsluice.delivery.rule_book import bequeath
from mailsluice.limits import Estate, Limit, Rules, Usage
from mailsluice.stop_loss import Unit
from mailsluice.store import EVERYBODY, Ask, ClaimScope, Database, Providers, Usages
from mailsluice.store.schema import usage
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.integration.sender_runs import conclude, parent, send, shard
from tests.integration.test_throttles import kept
from tests.smtpd import Received, SmtpServer, most_in_a_second

pytestmark = pytest.mark.takes_turns

MANY = 240
PROVIDERS = ("gmail.com", "yahoo.com", "example.com")
TO_GOOGLE = ProviderThrottle(provider="google", per_second=10)


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


def mixed(number: int = MANY) -> list[str]:
    """Addresses at Google, Yahoo and a domain whose provider is not known, a third each."""
    return [one for domain in PROVIDERS for one in people(number // 3, domain)]


def received(server: SmtpServer, domain: str) -> list[Received]:
    return [one for one in server.received if one.recipient.endswith(f"@{domain}")]


async def test_limits_of_a_campaign_and_of_a_connection_hold_by_provider(
    sender: Sender, tmp_path: Path
) -> None:
    planned = campaign(
        tmp_path,
        mixed(),
        ("red", "green"),
        per_provider=[{"provider": "google", "per_second": 16}],
    )
    others = ProviderThrottle(provider="*", per_second=12)
    with SmtpServer() as red, SmtpServer() as green:
        await sender.send(
            planned,
            [connection("red", red, per_provider=(others,)), connection("green", green)],
        )
        everybody_once(sender.ledger, {"red": red, "green": green})
    # Nobody needs what a campaign that is over has used.
    assert kept(sender) == {f"provider {one} of connection red" for one in ("google", "yahoo")}
    to_google = [received(server, "gmail.com") for server in (red, green)]
    assert [most_in_a_second(messages) <= 8 for messages in to_google] == [True, True]
    assert most_in_a_second([*to_google[0], *to_google[1]]) <= 16
    assert most_in_a_second(received(red, "yahoo.com")) <= 12


async def test_senders_of_one_connection_share_the_limit_of_a_provider(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, mixed(120))
    with SmtpServer() as server:
        target = connection("red", server, per_provider=(TO_GOOGLE,))
        async with AsyncExitStack() as stack:
            run = await stack.enter_async_context(parent(sender, document))
            both = [await stack.enter_async_context(shard(sender, document)) for _ in range(2)]
            await asyncio.gather(*(send(one, document, target) for one in both))
            report = await conclude(run)
    everybody_once(sender.ledger, {"red": server})
    assert report.open == 0
    assert most_in_a_second(received(server, "gmail.com")) <= 10


async def test_a_provider_that_is_held_keeps_its_recipients_until_the_next_run(
    sender: Sender, tmp_path: Path
) -> None:
    planned = campaign(tmp_path, mixed(60))
    with SmtpServer() as red:
        run = await asyncio.to_thread(sender.prepare, planned)
        (google,) = (
            number
            for number, name in Providers(sender.database).of(run.id).items()
            if name == "google"
        )
        run.hold([Unit("red", google)])
        report = await sender.send_prepared(run, planned, [connection("red", red)])
        await run.close()
        assert (report.open, len(red.received)) == (20, 40)
        assert sender.ledger.states() == {"sent": 40, "pending": 20}
        await sender.send(planned, [connection("red", red)], "second run")
        everybody_once(sender.ledger, {"red": red})


async def test_a_used_up_limit_of_a_provider_stays_used_up_after_a_restart(
    sender: Sender, tmp_path: Path
) -> None:
    planned = campaign(tmp_path, mixed(30))
    hourly = ProviderThrottle(provider="google", per_hour=1)
    with SmtpServer() as red:
        target = connection("red", red, per_provider=(hourly,))
        for owner in ("first run", "second run"):
            run = await asyncio.to_thread(sender.prepare, planned, owner)
            await asyncio.to_thread(run.count)
            sending = asyncio.ensure_future(sender.send_prepared(run, planned, [target]))
            seconds = await eventually_async(run.next_in, lambda seconds: seconds >= 60)
            assert 3_000 < seconds < 4_000
            (standing,) = (await run.progress()).standings
            assert standing.binding.detail == "Google, 1 an hour (the connection's)"
            run.stop()
            await sending
            await run.close()
        assert len(red.received) == 21
    assert sender.ledger.states() == {"sent": 21, "pending": 9}


def test_a_dead_process_returns_the_starts_of_a_provider_that_it_has_not_used(
    sender: Sender, tmp_path: Path
) -> None:
    run = sender.prepare(campaign(tmp_path, mixed(30)))
    database, key, dead = sender.database, "provider google of connection red", "a" * 32
    ask = Ask(f"{dead} red", {key: Rules((Limit(100, 3_600.0),))}, 5, (), 0, 0.4, answered=0)
    with database.write() as transaction:
        Usages(database).reserve(transaction, [ask])
        accounts = {_digest(account_name("red", "google")): (3, 1)}
        bequeath(database, transaction, run.id, "red", JournalContents(dead, {}, accounts))
        state = transaction.execute(sa.select(usage.c.state).where(usage.c.key == key))
        stored = Usage.from_json(orjson.loads(state.scalar_one()))
    assert stored.estates == [Estate(f"{dead} red", 1, 3)]
    asyncio.run(run.close())


def test_a_claim_is_for_one_provider_or_for_all_but_some(sender: Sender, tmp_path: Path) -> None:
    run = sender.prepare(campaign(tmp_path, mixed(30)))
    numbers = {name: number for number, name in Providers(sender.database).of(run.id).items()}
    google, yahoo = numbers["google"], numbers["yahoo"]

    def claimed(scope: ClaimScope) -> set[int]:
        with sender.database.write() as transaction:
            rows = run.outbox.claim(transaction, "red", 30, 0, scope)
            run.outbox.release(transaction, [row.id for row in rows])
            return {row.provider for row in rows}

    assert claimed(ClaimScope(google)) == {google}
    assert claimed(ClaimScope(without=frozenset((google, yahoo)))) == {numbers["unresolved"]}
    assert claimed(EVERYBODY) == set(numbers.values())
    with sender.database.write() as transaction:
        rows = run.outbox.claim(transaction, "red", 30, 0, ClaimScope(google))
        first, *others = sorted(rows)
        run.outbox.release(transaction, [row.id for row in others])
        transaction.execute(
            sa.text("update recipients set status='deferred', next_attempt_at=0 where id=:id"),
            {"id": first.id},
        )

        def due(scope: ClaimScope) -> bool:
            return run.outbox.next_due_seconds(transaction, "red", scope) is not None

        assert due(ClaimScope(google))
        assert due(EVERYBODY)
        assert not due(ClaimScope(yahoo))
        assert not due(ClaimScope(without=frozenset((google,))))
        # Recipients of a campaign that was launched before there were providers have none.
        transaction.execute(sa.text("update recipients set provider=null"))
        scope = ClaimScope(without=frozenset((google, yahoo)))
        assert len(run.outbox.claim(transaction, "red", 40, 0, scope)) == 30
    asyncio.run(run.close())
