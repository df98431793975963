"""Three mailbox providers behind one relay: each in its own way, and nobody else's mail feels it.

Google greylists, Microsoft throttles, Yahoo refuses an exact share; all other domains accept. The
relay notes every recipient that it is asked about. No test depends on how fast the machine is: what
is held is held for a day, and all others have their mail by then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from mailsluice.store.schema import recipients
from tests.dns_server import CONTROLS, dns_server
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    TOMORROW,
    Sender,
    campaign,
    connection,
    people,
    processes,
)
from tests.smtpd import SmtpServer, most_in
from tests.smtpd.mailbox_providers import Greylists, MailboxProvider, Refuses, Throttles, relay

pytestmark = pytest.mark.takes_turns

IDLE_SECONDS = 3_600.0
OTHERS = ("yahoo.com", "shop.example", "club.example")


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


def audience(number: int, *domains: str) -> list[str]:
    """So many recipients at each domain."""
    return [email for domain in domains for email in people(number, domain)]


def states(sender: Sender, *domains: str) -> Counter[str]:
    """The recipients of these domains by status."""
    rows = sender.ledger.rows()
    return Counter(row.status for email, row in rows.items() if email.endswith(domains))


def nobody_twice(server: SmtpServer) -> bool:
    return set(server.recipients.values()) <= {1}


async def until_idle(sender: Sender, document: Campaign, reached: Connection) -> None:
    """Send until a run has nothing to do for an hour, or has ended."""
    run = await asyncio.to_thread(sender.prepare, document)
    sending = asyncio.ensure_future(sender.send_prepared(run, document, [reached]))
    try:
        await eventually_async(lambda: is_idle(run, sending), what="a run with nothing to do")
    finally:
        run.stop()
        await sending
        await run.close()


async def is_idle(run: CampaignRun, sending: asyncio.Future[Any]) -> bool:
    return sending.done() or await run.next_in() >= IDLE_SECONDS


async def test_greylisting_delays_nobody_else(sender: Sender, tmp_path: Path) -> None:
    """All of a provider's recipients are deferred until tomorrow, when each is accepted."""
    google = Greylists("gmail.com")
    document = campaign(tmp_path, audience(60, "gmail.com", *OTHERS), retry=TOMORROW)
    with relay(google) as server:
        reached = connection("red", server)
        await until_idle(sender, document, reached)
        assert states(sender, "gmail.com") == {"deferred": 60}
        assert states(sender, *OTHERS) == {"sent": 180}
        with sender.database.write() as writer:
            writer.execute(
                sa.update(recipients)
                .values(next_attempt_at=0.0, first_attempt_at=0.0)
                .where(recipients.c.status == "deferred")
            )
        await sender.send(document, [reached])
        assert sender.ledger.states() == {"sent": 240}
        assert nobody_twice(server)
    assert google.refused() == {Greylists.REPLY: 60}
    assert set(google.accepted().values()) == {1}


async def test_a_provider_that_refuses_an_exact_share_costs_nobody_else_the_mail(
    sender: Sender, tmp_path: Path
) -> None:
    yahoo = Refuses("yahoo.com", percent=3)
    document = campaign(tmp_path, audience(100, "gmail.com", *OTHERS))
    with relay(yahoo) as server:
        report = await sender.send(document, [connection("red", server)])
    assert not report.down
    assert states(sender, "yahoo.com") == {"sent": 97, "failed": 3}
    assert states(sender, "gmail.com", "shop.example", "club.example") == {"sent": 300}
    assert yahoo.refused().total() == 3


async def test_a_provider_that_is_held_for_a_day_holds_nobody_else(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two domains that Google hosts one recipient may go; all others get their mail."""
    google = MailboxProvider("gmail.com", "company.example")
    document = campaign(
        tmp_path,
        audience(60, "gmail.com", "company.example", *OTHERS),
        resolve="mx",
        per_provider=[{"provider": "google", "per_day": 1}],
    )
    zone = {"company.example": {"MX": ["1 aspmx.l.google.com."]}, **CONTROLS}
    zone |= {name: {"MX": [f"1 mx.{name}."]} for name in OTHERS}
    with dns_server(zone) as names, relay(google) as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{names.port}")
        await until_idle(sender, document, connection("red", server))
        assert nobody_twice(server)
    assert len(google.asked) == 1
    assert states(sender, "gmail.com", "company.example") == {"sent": 1, "pending": 119}
    assert states(sender, *OTHERS) == {"sent": 180}


async def test_a_throttling_provider_slows_its_own_mail_alone(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft accepts five messages, and is busy from then on: its clock stands still.

    Each of its replies halves the pace, so that it hardly depends on how long the others take.
    """
    monkeypatch.setattr("mailsluice.delivery.slowdown._REACTION_SECONDS", 0.0)
    microsoft = Throttles("outlook.com", per_second=5, clock=repeat(0.0).__next__)
    document = campaign(
        tmp_path, [*people(600, "outlook.com"), *audience(60, "gmail.com", *OTHERS)], retry=TOMORROW
    )
    with relay(microsoft) as server:
        run = await asyncio.to_thread(sender.prepare, document)
        reached = connection("red", server)
        sending = asyncio.ensure_future(sender.send_prepared(run, document, [reached]))
        try:
            await eventually_async(
                lambda: len(server.received),
                lambda accepted: accepted == 5 + 240,
                what="the mail to all others",
            )
            asked = len(microsoft.asked)
            run.stop()
            assert not (await sending).down
        finally:
            await run.close()
    assert asked < 300
    assert states(sender, "outlook.com")["pending"] >= 300


def send_in_a_process(url: str, folder: Path, document: Campaign, reached: Connection) -> None:
    with Database(url) as database:
        asyncio.run(Sender(database, folder).send(document, [reached]))


async def test_limits_hold_over_a_kill_and_nobody_gets_the_mail_twice(
    sender: Sender, database_url: str, tmp_path: Path
) -> None:
    """The run is killed while its sessions wait for replies, the next one goes on."""
    google, microsoft = MailboxProvider("gmail.com"), MailboxProvider("outlook.com")
    document = campaign(
        tmp_path,
        audience(40, "gmail.com", "outlook.com", *OTHERS),
        per_provider=[
            {"provider": "google", "per_day": 1},
            {"provider": "microsoft-consumer", "per_second": 20},
        ],
    )
    with relay(google, microsoft) as server:
        reached = connection("red", server)
        server.hold(after=80)
        process = processes().Process(
            target=send_in_a_process, args=(database_url, tmp_path, document, reached)
        )
        process.start()
        await eventually_async(lambda: server.held, lambda held: held == 2)
        process.kill()
        await asyncio.to_thread(process.join)
        server.release()
        await until_idle(sender, document, reached)
        assert nobody_twice(server)
        assert len(server.received) == 161
    assert len(google.asked) == 1
    assert most_in(1.0, microsoft.times()) <= 20
    assert sender.ledger.states() == {"sent": 159, "uncertain": 2, "pending": 39}
