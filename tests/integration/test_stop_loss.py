"""A canary goes first, and what passes a limit is held, at real SMTP servers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.command import main
from mailsluice.bounces import Bounce, BounceKind
from mailsluice.campaign import Campaign
from mailsluice.core.moves import MoveReason
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.operations.stop_loss import LossWatch, watched_losses
from mailsluice.stop_loss import CANARY, Decision, Figures, Hold, Unit
from mailsluice.store import (
    Bounces,
    Campaigns,
    Canaries,
    Database,
    Holds,
    NewHold,
    OutcomeFigures,
    Providers,
)
from mailsluice.store.schema import canaries, recipients
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, gives_up
from tests.smtpd import SmtpServer
from tests.smtpd.mailbox_providers import Greylists, Refuses, relay

pytestmark = pytest.mark.takes_turns


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks often, and a connection asks often whether its canary is decided about."""
    monkeypatch.setattr("mailsluice.operations.stop_loss._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("mailsluice.operations.stop_loss._TIMES", 2)
    monkeypatch.setattr("mailsluice.store.canaries.LOOK_SECONDS", 0.05)


LIMITS = {"bounce_percent": 5, "block_percent": 2, "complaint_percent": 0.3}
GOOGLE, OTHERS = "gmail.com", "example.com"


def people(number: int) -> list[str]:
    """A quarter has mailboxes at Google."""
    return [f"user{i}@{GOOGLE if i % 4 == 0 else OTHERS}" for i in range(number)]


def document(folder: Path, number: int = 400, **fields: Any) -> Campaign:
    return campaign(folder, people(number), ("red", "green"), stop_loss=LIMITS, **fields)


async def sent(
    sender: Sender, campaign: Campaign, servers: dict[str, SmtpServer], **options: Any
) -> list[Hold]:
    """Send until nothing is left that can be sent now; returns what is held from now on."""
    run = await asyncio.to_thread(sender.prepare, campaign)
    held: list[Hold] = []
    connections = [connection(name, server, **options) for name, server in servers.items()]
    try:
        await asyncio.to_thread(run.count)
        async with watched_losses(run, campaign, held.append):
            await sender.send_prepared(run, campaign, connections)
    finally:
        await run.close()
    return held


async def test_nothing_goes_beyond_the_canary_until_its_wait_is_over(
    database: Database, tmp_path: Path
) -> None:
    sender = Sender(database, tmp_path)
    patient = document(tmp_path, canary={"percent": 4, "wait_minutes": 10_080})
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        run = await asyncio.to_thread(sender.prepare, patient)
        await asyncio.to_thread(run.count)
        watch = LossWatch(run, patient, lambda _: None)
        assert await watch.begin()
        sending = asyncio.ensure_future(
            sender.send_prepared(
                run, patient, [connection(name, server) for name, server in servers.items()]
            )
        )
        canaries = Canaries(database, run.id)
        while not all(canary.is_attempted for canary in canaries.undecided()):
            await watch.look()
            await asyncio.sleep(0.01)
        run.stop()
        await sending
        await run.close()
        # 4 % of 200 recipients on each connection, and of each provider
        for server in servers.values():
            domains = Counter(email.partition("@")[2] for email in server.recipients.elements())
            assert domains == {GOOGLE: 2, OTHERS: 6}

        # Another run, as after a kill: nothing more, before the judgement
        rows = OutcomeFigures(database, run.id).settled()
        assert sum(figures.sent for figures in rows.values()) == 16

        impatient = document(tmp_path, canary={})
        assert await sent(sender, impatient, servers) == []
        assert sum(server.recipients.total() for server in servers.values()) == 400


async def test_a_canary_is_judged_although_an_earlier_look_failed(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, failures = LossWatch.look, [RuntimeError("broken"), RuntimeError("broken")]

    async def fails_at_first(watch: LossWatch) -> None:
        if failures:
            raise failures.pop()
        await look(watch)

    monkeypatch.setattr(LossWatch, "look", fails_at_first)
    quick = document(tmp_path, 40, canary={"percent": 10, "wait_minutes": 0})
    with SmtpServer() as red, SmtpServer() as green:
        await sent(Sender(sqlite_database, tmp_path), quick, {"red": red, "green": green})
        assert red.recipients.total() == green.recipients.total() == 20


async def test_a_canary_that_is_fine_is_followed_by_the_rest(
    database: Database, tmp_path: Path
) -> None:
    quick = document(tmp_path, canary={"percent": 1, "wait_minutes": 0})
    with SmtpServer() as red, SmtpServer() as green:
        assert await sent(Sender(database, tmp_path), quick, {"red": red, "green": green}) == []
        assert red.recipients.total() == green.recipients.total() == 200
    assert Canaries(database, 1).undecided() == []


async def test_an_operator_is_asked_after_the_canary(database: Database, tmp_path: Path) -> None:
    asking = document(tmp_path, canary={"percent": 4, "wait_minutes": 0, "approve": "operator"})
    sender = Sender(database, tmp_path)
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        held = await sent(sender, asking, servers)
        assert {(hold.unit, hold.reason) for hold in held} == {
            (Unit("red"), CANARY),
            (Unit("green"), CANARY),
        }
        assert [hold.total.sent for hold in held] == [8, 8]
        assert await sent(sender, asking, servers) == []  # a run changes nothing by itself
        assert red.recipients.total() == green.recipients.total() == 8


async def test_a_canary_of_which_nothing_was_accepted_is_not_fine(
    database: Database, tmp_path: Path
) -> None:
    quick = document(
        tmp_path, 40, canary={"percent": 10, "wait_minutes": 0}, retry={"first_delay_seconds": 3600}
    )
    sender = Sender(database, tmp_path)
    with relay(Greylists(GOOGLE, OTHERS)) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        (hold,) = await sent(sender, quick, servers)
        assert (hold.unit, hold.reason) == (Unit("red"), CANARY)
        assert red.recipients.total() == 0
        assert green.recipients.total() == 20


async def test_a_canary_that_is_added_after_the_launch_is_warned_about(
    sqlite_database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(sqlite_database, tmp_path)
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        assert await sent(sender, document(tmp_path, 40), servers) == []
        assert "no effect" not in caplog.text
        assert await sent(sender, document(tmp_path, 40, canary={"percent": 10}), servers) == []
    assert "the canary has no effect" in caplog.text


def sent_to(server: SmtpServer) -> Counter[str]:
    """Accepted messages by domain."""
    return Counter(email.partition("@")[2] for email in server.recipients.elements())


async def test_after_the_canary_the_bad_pair_is_held_and_only_it(
    database: Database, tmp_path: Path
) -> None:
    google = Refuses(GOOGLE, percent=40)
    careful = document(tmp_path, canary={"percent": 20, "wait_minutes": 0})
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        (hold,) = await sent(sender, careful, servers)
        assert hold.unit == Unit("red", provider(database, "google"))
        assert hold.reason == "bounced"
        assert (hold.total.sent, hold.total.refused) == (6, 4)
        assert len(google.asked) == 10  # a fifth of 50
        assert sent_to(red)[OTHERS] == 150
        assert green.recipients.total() == 200

        assert await sent(sender, careful, servers) == []  # as after a kill: it stays held
        assert len(google.asked) == 10

        await decide(sender, careful, hold, Decision.MOVE, "green")
        assert await sent(sender, careful, servers) == []
    assert len(google.asked) == 10
    assert sent_to(green) == {GOOGLE: 50 + 40, OTHERS: 150}
    assert sender.ledger.states() == {"sent": 396, "failed": 4}
    (move,) = Campaigns(database).moves(1)
    assert (move.reason, move.recipients, move.of) == (MoveReason.HELD, 40, 40)


async def held_in_the_middle(
    sender: Sender, campaign: Campaign, servers: dict[str, SmtpServer]
) -> tuple[CampaignRun, LossWatch, asyncio.Future[Any], list[Hold]]:
    """Send, with the replies of `red` held back after 200 messages until a part is held."""
    servers["red"].hold(after=200)
    run = await asyncio.to_thread(sender.prepare, campaign)
    held: list[Hold] = []
    watch = LossWatch(run, campaign, held.append)
    assert await watch.begin()
    reached = [connection(name, server) for name, server in servers.items()]
    sending = asyncio.ensure_future(sender.send_prepared(run, campaign, reached))
    while not held:
        await watch.look()
        await asyncio.sleep(0.01)
    servers["red"].release()
    return run, watch, sending, held


async def test_what_passes_a_limit_in_the_middle_is_held_until_it_is_decided(
    database: Database, tmp_path: Path
) -> None:
    """The server keeps its replies back after 200 messages, until the next look has come."""
    google = Refuses(GOOGLE, percent=50)
    risky = document(tmp_path, 1_200)
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        run, _, sending, held = await held_in_the_middle(sender, risky, servers)
        await sending
        await run.close()
        (hold,) = held
        assert hold.unit == Unit("red", provider(database, "google"))
        asked = len(google.asked)
        assert asked < 150
        # every other recipient has the mail
        assert sent_to(red)[OTHERS] + sent_to(green)[OTHERS] == 900
        assert sent_to(green)[GOOGLE] == 150

        await decide(sender, risky, hold, Decision.STOP)
        assert await sent(sender, risky, servers) == []
    states = sender.ledger.states()
    assert len(google.asked) == asked
    assert states["cancelled"] == 150 - asked
    assert states.total() == states["sent"] + states["failed"] + states["cancelled"] == 1_200
    assert Campaigns(database).get("spring-sale").status is CampaignStatus.COMPLETED


async def test_a_part_that_may_go_on_is_judged_by_what_comes_then(
    database: Database, tmp_path: Path
) -> None:
    google = Refuses(GOOGLE, percent=40)
    careful = document(tmp_path, canary={"percent": 20, "wait_minutes": 0})
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        (hold,) = await sent(sender, careful, servers)
        await decide(sender, careful, hold, Decision.GO_ON)
        run = await asyncio.to_thread(sender.prepare, careful)
        again: list[Hold] = []
        watch = LossWatch(run, careful, again.append)
        await watch.begin()
        await watch.look()
        await run.close()
        assert again == []
        await sent(sender, careful, servers)
    assert len(google.asked) > 10


async def test_events_count_and_a_whole_connection_is_held_for_many_providers(
    database: Database, tmp_path: Path
) -> None:
    sender = Sender(database, tmp_path)
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        plain = document(tmp_path)
        await sent(sender, plain, servers)
        later = OutcomeFigures(database, 1).later()
        assert later == {}
        query = sa.select(recipients.c.id, recipients.c.email).limit(90)
        with database.read() as reader:
            rows = reader.execute(query.where(recipients.c.connection == "green")).all()
        report = [
            Bounce(
                key=f"test {number}",
                email=email,
                kind=BounceKind.HARD if number % 3 else BounceKind.COMPLAINT,
                status="5.1.1",
                detail="",
                source="test",
                at=0.0,
                connection="green",
                campaign_id=1,
                recipient_id=number,
            )
            for number, email in rows
        ]
        Bounces(database).record(report)
        later = OutcomeFigures(database, 1).later()
        total = Figures.total(later.values())
        assert {unit.connection for unit in later} == {"green"}
        assert total.bounced_later + total.complained == 90
        run = await asyncio.to_thread(sender.prepare, plain)
        held: list[Hold] = []
        watch = LossWatch(run, plain, held.append)
        await watch.begin()
        await watch.look()
        await run.close()
    assert {hold.unit.connection for hold in held} == {"green"}


def provider(database: Database, name: str) -> int:
    """The number of a provider in the only campaign."""
    numbers = {named: number for number, named in Providers(database).of(1).items()}
    return numbers[name]


async def decide(
    sender: Sender, campaign: Campaign, hold: Hold, decision: Decision, target: str | None = None
) -> None:
    run = await asyncio.to_thread(sender.prepare, campaign)
    try:
        assert target is None or target in run.may_move_to(hold.unit)
        await asyncio.to_thread(run.decide, hold, decision, target)
    finally:
        await run.close()


def test_the_command_shows_what_is_held_and_decides(
    sqlite_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = sqlite_database.engine.url.render_as_string()
    monkeypatch.setenv("MAILSLUICE_DATABASE_URL", url)
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path))
    run = Sender(sqlite_database, tmp_path).prepare(document(tmp_path))
    google = Unit("red", provider(sqlite_database, "google"))
    figures = {google.provider or 0: Figures(sent=80, refused=20)}
    parts = [NewHold(google, "bounced", 5.0, figures), NewHold(Unit("green"), CANARY, None, {})]
    Holds(sqlite_database, run.id).add(parts)
    asyncio.run(run.close())

    assert main(["decide", "spring-sale", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(one["part"], one["waiting"]) for one in shown] == [
        ("Google over red", 50),
        ("green", 200),
    ]
    assert shown[0]["reason"] == "20 of 100 (20.00 %) bounced, more than 5 %"
    assert main(["decide", "spring-sale", "move", "--to", "green"]) == 1
    assert "cannot move to 'green' (possible: none)" in capsys.readouterr().err
    assert main(["decide", "spring-sale", "go-on", "--part", "2"]) == 0
    assert main(["decide", "spring-sale", "move", "--to", "green"]) == 0
    assert main(["decide", "spring-sale", "stop"]) == 1
    assert "no such held part (held: none)" in capsys.readouterr().err
    assert Campaigns(sqlite_database).moves(1)[0].recipients == 50


async def test_blocks_that_put_recipients_off_count_in_the_canary_and_after_a_restart(
    database: Database, tmp_path: Path
) -> None:
    """Three blocks let the provider rest, so they are all that a run ever sees."""
    reply = b"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent (S3150)."
    google = Refuses(GOOGLE, percent=100, replies=(reply,))
    careful = document(tmp_path, canary={"percent": 6, "wait_minutes": 0})
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        run = await asyncio.to_thread(sender.prepare, careful)
        await asyncio.to_thread(run.count)
        held: list[Hold] = []
        async with watched_losses(run, careful, held.append):
            sending = asyncio.ensure_future(
                sender.send_prepared(
                    run, careful, [connection("red", red), connection("green", green)]
                )
            )
            await eventually_async(lambda: bool(held) or sending.done())
            in_this_run = await run.figures()
            run.stop()
            await sending
        await run.close()
    (hold,) = held
    assert (hold.unit, hold.reason) == (Unit("red", provider(database, "google")), "blocked")
    assert (hold.total.blocked, hold.total.put_off) == (3, 3)
    stored = OutcomeFigures(database, run.id).settled("red")
    assert stored[hold.unit] == in_this_run[hold.unit] == hold.total


async def test_a_provider_that_rests_in_the_canary_does_not_delay_the_others(
    database: Database, tmp_path: Path
) -> None:
    """After three blocks twelve of its recipients in the canary wait for half an hour."""
    reply = b"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent (S3150)."
    google = Refuses(GOOGLE, percent=100, replies=(reply,))
    careful = document(tmp_path, canary={"percent": 30, "wait_minutes": 0})
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        (hold,) = await sent(sender, careful, servers, max_sessions=1)
        assert (hold.unit, hold.reason) == (Unit("red", provider(database, "google")), "blocked")
        assert hold.total.blocked == len(google.asked)
        assert len(google.asked) in (3, 4)  # a session has a message ready while it waits
        assert sent_to(red) == {OTHERS: 150}
        assert green.recipients.total() == 200


def test_recipients_of_a_connection_that_is_down_neither_leave_nor_join_what_is_held(
    database: Database, tmp_path: Path
) -> None:
    names = ("red", "green", "blue")
    document = campaign(tmp_path, people(240), names, on_connection_down="reassign")
    run = Sender(database, tmp_path).prepare(document)
    try:
        google = provider(database, "google")
        parts = [NewHold(Unit(name, google), "bounced", 5.0, {}) for name in ("red", "green")]
        Holds(database, run.id).add(parts)
        run.hold(part.unit for part in parts)
        assert run.may_move_to(Unit("red")) == run.may_move_to(Unit("red", google)) == ["blue"]
        assert gives_up(run, "red") == {"blue"}
    finally:
        asyncio.run(run.close())
    (move,) = Campaigns(database).moves(run.id)
    assert (move.recipients, move.of) == (60, 80)  # Google's 20 wait for their decision


@pytest.mark.parametrize("reply", [b"550 5.7.1 local policy", b"550 5.1.1 <%b> unknown"])
async def test_a_canary_that_is_refused_to_the_last_takes_its_connection_down(
    sqlite_database: Database, tmp_path: Path, reply: bytes
) -> None:
    """Whether its recipients are to blame is decided although those behind it cannot be tried."""
    everybody = Refuses(GOOGLE, OTHERS, percent=100, replies=(reply,))
    careful = document(tmp_path, canary={"percent": 2, "wait_minutes": 0})
    sender = Sender(sqlite_database, tmp_path)
    with relay(everybody) as red, SmtpServer() as green:
        assert await sent(sender, careful, {"red": red, "green": green}) == []
        assert green.recipients.total() == 200
    assert len(everybody.asked) == 4
    assert sender.ledger.states() == {"sent": 200, "pending": 200}


async def test_a_canary_ends_although_a_part_of_it_is_held(
    database: Database, tmp_path: Path
) -> None:
    """The server keeps its replies back in the middle of the canary, until Google is held."""
    google = Refuses(GOOGLE, percent=100)
    careful = document(tmp_path, 1_600, canary={"percent": 50, "wait_minutes": 0})
    sender = Sender(database, tmp_path)
    with relay(google) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        run, watch, sending, held = await held_in_the_middle(sender, careful, servers)
        while not sending.done():
            await watch.look()
            await asyncio.sleep(0.05)
        await sending
        await run.close()
        assert [hold.unit for hold in held] == [Unit("red", provider(database, "google"))]
        assert (asked := len(google.asked)) < 200
        assert sent_to(red)[OTHERS] + sent_to(green)[OTHERS] == 1_200

        # What was found in the canary counts no more at its end.
        with database.write() as writer:
            writer.execute(sa.update(canaries).values(decided_at=None))
        await decide(sender, careful, held[0], Decision.GO_ON)
        google.accept_all()
        assert await sent(sender, careful, servers) == []
        assert sent_to(red)[GOOGLE] == 200 - sender.ledger.states()["failed"]
        assert sent_to(red)[GOOGLE] >= 200 - asked
