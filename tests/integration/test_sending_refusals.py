"""A server that refuses or defers everybody from some message on: the connection is in trouble."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.campaign import Campaign, UncertainPolicy
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.delivery.judgement import MOST_POINTS
from mailsluice.delivery.recovery import recover
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from mailsluice.store.schema import recipients, suppressions
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, everybody_once, people
from tests.smtpd import Everybody, Fault, Settings, SmtpServer, Stage
from tests.smtpd.settings import ALL_KEYWORDS

TOUCHED = 60
"""At most so many of a connection's recipients may have been refused until it is down: 18, and
those under way."""


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slowed pace is back to normal soon, rather than after minutes."""
    monkeypatch.setattr("mailsluice.delivery.slowdown._DOUBLES_IN_SECONDS", 0.1)


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


def suppressed(sender: Sender) -> int:
    with sender.database.read() as reader:
        return len(reader.execute(sa.select(suppressions.c.email)).all())


REFUSALS = [
    # after how many, at which stage, what
    (0, Stage.RCPT, b"550 Daily limit has been exceeded"),
    (20, Stage.RCPT, b"550 Stop, you are sending too fast!"),
    (0, Stage.RCPT, b"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"),
    (20, Stage.RCPT, b"550 relay not permitted"),
    (0, Stage.DOT, b"554 5.2.2 mailbox full; STOREDRV.Submission.Exception:OverQuota"),
    (20, Stage.DOT, b"550 5.7.705 Access denied, tenant has exceeded threshold"),
    (20, Stage.DOT, b"554 Transaction failed: Sending paused for this account"),
    (20, Stage.RCPT, b"550 5.7.1 Daily SMTP relay limit exceeded"),
    (0, Stage.MAIL, b"550 5.7.1 not today"),
    (20, Stage.MAIL, b"552 5.3.4 too big for us"),
    # words that no table knows, or that look like a dead address
    (0, Stage.RCPT, b"550 Invalid recipient"),
    (20, Stage.RCPT, b"550 Invalid recipient"),
    (0, Stage.RCPT, b"550 5.1.1 User unknown"),
    (20, Stage.RCPT, b"550 5.1.1 User unknown"),
    (20, Stage.RCPT, b"554 nein"),
    (0, Stage.DATA, b"554 nein"),
    (20, Stage.DATA, b"554 nein"),
    (0, Stage.DOT, b"550 5.1.1 User unknown"),
    (20, Stage.DOT, b"550 5.1.1 User unknown"),
]


@pytest.mark.parametrize(("after", "stage", "reply"), REFUSALS)
async def test_a_connection_that_refuses_everybody_is_down_and_its_recipients_wait(
    after: int, stage: Stage, reply: bytes, sender: Sender, tmp_path: Path
) -> None:
    """Each stage from the first message on, and after good ones.

    Words that a table knows are judged alike at both moments, so each stands once.
    """
    document = campaign(tmp_path, people(100))
    settings = Settings(everybody=Everybody(after, Fault(stage, reply)))
    with SmtpServer(settings) as server:
        report = await sender.send(document, [connection("red", server)])
        assert server.struck <= TOUCHED
        sent = len(server.received)
    assert after <= sent <= after + 2  # two sessions, each with one recipient accepted ahead
    assert reply[4:].decode()[:20] in report.down["red"]
    rows = Counter((row.status, row.attempts) for row in sender.ledger.rows().values())
    assert rows == Counter({("pending", 0): 100 - sent, ("sent", 1): sent}) - Counter()
    assert suppressed(sender) == 0
    with SmtpServer() as server:  # on the next day it works again
        await sender.send(document, [connection("red", server)])
        assert len(server.received) == 100 - sent
    assert sender.ledger.states() == {"sent": 100}


@pytest.mark.parametrize("accepts", [2, 3])  # every second, or one of three
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DOT])
async def test_a_connection_that_begins_to_refuse_many_is_down_and_they_wait(
    accepts: int,
    stage: Stage,
    sender: Sender,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    def answer(at: Stage, address: str = "*") -> bytes | None:
        nonlocal asked
        asked += at is stage
        if at is not stage or asked <= 100 or asked % accepts == 0:
            return None
        return b"550 Invalid recipient"

    with SmtpServer() as server:
        monkeypatch.setattr(server.script, "due", answer)
        document = campaign(tmp_path, people(300))
        report = await sender.send(document, [connection("red", server)])
        sent = len(server.received)
    assert "550 Invalid recipient" in report.down["red"]
    assert re.search(
        r"\(\d+ of the last \d+ recipients were refused; they have not failed", report.down["red"]
    )
    assert sent <= 160
    assert sender.ledger.states() == {"sent": sent, "pending": 300 - sent}
    assert suppressed(sender) == 0


@pytest.mark.parametrize(
    ("keywords", "fields"),
    [
        (("8BITMIME",), {}),  # command by command
        (ALL_KEYWORDS, {"max_sessions": 8}),
        ((*ALL_KEYWORDS, "CHUNKING"), {"messages_in_flight": 10, "max_sessions": 4}),
    ],
)
async def test_no_recipient_fails_however_many_messages_are_in_flight(
    keywords: tuple[str, ...], fields: dict[str, int], sender: Sender, tmp_path: Path
) -> None:
    refusal = Everybody(50, Fault(Stage.RCPT, b"550 Invalid recipient"))
    settings = Settings(keywords=keywords, everybody=refusal, delay_seconds=0.01)
    with SmtpServer(settings) as server:
        report = await sender.send(
            campaign(tmp_path, people(300)), [connection("red", server, **fields)]
        )
        sent = len(server.received)
    assert "Invalid recipient" in report.down["red"]
    assert sender.ledger.states() == {"sent": sent, "pending": 300 - sent}
    assert suppressed(sender) == 0


@pytest.mark.parametrize("percent", [1, 5, 10, 20, 30, 40, 60])
async def test_dead_addresses_fail_and_are_suppressed(
    percent: int, sender: Sender, tmp_path: Path
) -> None:
    emails = [
        f"550-at-rcpt.{i}@example.com" if i * 37 % 100 < percent else f"user{i}@example.com"
        for i in range(300)
    ]
    with SmtpServer() as server:
        report = await sender.send(campaign(tmp_path, emails), [connection("red", server)])
    assert report.down == {}
    assert sender.ledger.states() == {"failed": 3 * percent, "sent": 300 - 3 * percent}
    assert suppressed(sender) == 3 * percent


async def test_a_recipient_that_meets_a_limit_others_do_not_is_tried_later(
    sender: Sender, tmp_path: Path
) -> None:
    """A server that takes so many messages a second, and refuses the others for good."""
    limit = Fault(Stage.RCPT, b"550 5.7.0 You are sending too fast", times=1)
    with SmtpServer(faults={f"user{i}": limit for i in range(0, 200, 8)}) as server:
        report = await sender.send(campaign(tmp_path, people(200)), [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})
    assert report.down == {}
    assert suppressed(sender) == 0


@pytest.mark.parametrize(
    ("number", "reply"),
    [
        (1, b"550 Invalid recipient"),  # vague: it may be said to everybody
        (4, b"550 5.1.1 User unknown"),  # plain, but too often
        (5, b"550 5.1.1 User unknown"),
        (2, b"550 Daily limit has been exceeded"),
    ],
)
async def test_a_tiny_list_without_any_acceptance_waits_and_says_why(
    number: int, reply: bytes, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = campaign(tmp_path, people(number))
    with SmtpServer(Settings(everybody=Everybody(0, Fault(Stage.RCPT, reply)))) as server:
        report = await sender.send(document, [connection("red", server)])
    assert reply.decode() in report.down["red"]
    assert sender.ledger.states() == {"pending": number}
    assert suppressed(sender) == 0


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_few_recipients_with_the_status_of_a_dead_mailbox_fail(
    number: int, sender: Sender, tmp_path: Path
) -> None:
    refusal = Everybody(0, Fault(Stage.RCPT, b"550 5.1.1 User unknown"))
    with SmtpServer(Settings(everybody=refusal)) as server:
        report = await sender.send(campaign(tmp_path, people(number)), [connection("red", server)])
    assert report.down == {}
    assert sender.ledger.states() == {"failed": number}
    assert suppressed(sender) == number


async def test_the_last_recipients_of_a_list_may_be_dead(sender: Sender, tmp_path: Path) -> None:
    """Two at the end of a list are not improbable for a connection that refuses one in ten."""
    emails = [*people(40), *(f"550-at-rcpt.{i}@example.com" for i in range(4))]
    with SmtpServer() as server:
        await sender.send(campaign(tmp_path, emails), [connection("red", server)])
    assert sender.ledger.states() == {"sent": 40, "failed": 4}


async def test_a_dead_address_alone_in_a_later_run_fails(sender: Sender, tmp_path: Path) -> None:
    """The earlier run of the campaign knows that the connection works."""
    document = campaign(tmp_path, [*people(40), "late@example.com"], retry={})
    later = {"late": Fault(Stage.RCPT, b"450 4.2.0 greylisted")}
    with SmtpServer(faults=later) as server:
        deferred = {"sent": 40, "deferred": 1}
        target = connection("red", server)
        async with stopped_when(
            sender, document, target, lambda _: sender.ledger.states() == deferred
        ):
            pass
    with sender.database.write() as writer:
        writer.execute(sa.update(recipients).values(next_attempt_at=0))
    with SmtpServer(faults={"late": Fault(Stage.RCPT, b"550 5.1.1 User unknown")}) as server:
        report = await sender.send(document, [connection("red", server)])
    assert report.down == {}
    assert sender.ledger.states() == {"sent": 40, "failed": 1}
    assert suppressed(sender) == 1


@pytest.mark.parametrize(
    ("number", "reply"),
    [(2, b"550 5.7.1 not wanted"), (7, b"550 no such user"), (40, b"550 5.1.1 User unknown")],
)
async def test_dead_addresses_behind_a_greylist_come_last_and_fail(
    number: int, reply: bytes, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead addresses come back when all others have their mail, so no acceptance follows them."""
    dead = [f"dead{i}@gone.example" for i in range(number)]
    asked: set[str] = set()

    def answer(stage: Stage, address: str = "*") -> bytes | None:
        if stage is not Stage.RCPT or address not in dead:
            return None
        if address in asked:
            return reply
        asked.add(address)
        return b"450 4.2.0 Greylisted"

    with SmtpServer() as server:
        monkeypatch.setattr(server.script, "due", answer)
        document = campaign(tmp_path, [*people(100), *dead])
        report = await sender.send(document, [connection("red", server)])
    assert report.down == {}
    assert sender.ledger.states() == {"sent": 100, "failed": number}


@asynccontextmanager
async def stopped_when(
    sender: Sender, document: Campaign, target: Connection, ready: Callable[[CampaignRun], bool]
) -> AsyncIterator[CampaignRun]:
    """Send until it is ready; the run is looked at, then stopped."""
    run = await asyncio.to_thread(sender.prepare, document)
    try:
        sending = asyncio.ensure_future(sender.send_prepared(run, document, [target]))
        await eventually_async(lambda: ready(run))
        yield run
        run.stop()
        await sending
    finally:
        await run.close()


@asynccontextmanager
async def three_suspects(sender: Sender, folder: Path) -> AsyncIterator[CampaignRun]:
    """A run of 100 recipients that stops after ten acceptances and three refusals after the dot.

    A cap lets no more start, so that nothing is under way while the run is looked at.
    """
    refusal = Everybody(10, Fault(Stage.DOT, b"550 5.1.1 User unknown"))
    today = WarmUp(start=datetime.now(UTC).date() - timedelta(days=1), daily_caps=(13, 13, 13))
    with SmtpServer(Settings(everybody=refusal)) as server:

        def all_are_answered(run: CampaignRun) -> bool:
            return server.struck == 3 and not run._connection_senders["red"].queue._in_flight

        target = connection("red", server, warm_up=today)
        document = campaign(folder, people(100))
        async with stopped_when(sender, document, target, all_are_answered) as run:
            yield run


async def test_suspects_are_pending_after_a_stop(sender: Sender, tmp_path: Path) -> None:
    async with three_suspects(sender, tmp_path):
        pass
    assert sender.ledger.states() == {"sent": 10, "pending": 90}


async def test_suspects_are_pending_after_a_crash(sender: Sender, tmp_path: Path) -> None:
    """Refused after the final dot, so the journal knew of them."""
    async with three_suspects(sender, tmp_path) as run:
        # What a new process would find now.
        found = recover(run.outbox.in_doubt(), run._journal.so_far(), UncertainPolicy.HOLD)
    assert not [one for one in found.settled if one.status is not RecipientStatus.SENT]


# Where, how, how often: words that are known count at once, others after 18 in a row.
PUT_OFF = [
    (Stage.RCPT, b"450 Too many requests", 7),
    (Stage.RCPT, b"450-4.7.1\r\n450 Mail send limit exceeded", 7),
    (Stage.DOT, b"451 You have exceeded your messaging limits", 7),
    (Stage.MAIL, b"451 4.3.0 try again", 7),
    (Stage.RCPT, b"450 4.7.0 not now", 26),
    (Stage.RCPT, b"451 4.3.0 try again", 26),
    (Stage.DATA, b"450 jetzt nicht", 26),
    (Stage.DOT, b"450 jetzt nicht", 26),
]


@pytest.mark.parametrize(("stage", "reply", "times"), PUT_OFF)
async def test_a_server_that_defers_everybody_gets_a_pause(
    stage: Stage, reply: bytes, times: int, sender: Sender, tmp_path: Path
) -> None:
    """However long this lasts, no recipient uses an attempt, and the connection is not down."""
    everybody = Everybody(20, Fault(stage, reply, times))
    with SmtpServer(Settings(everybody=everybody)) as server:
        report = await sender.send(campaign(tmp_path, people(100)), [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})
        assert server.sessions <= 2 + times  # at MAIL, a new session may be worth a try
    assert report.down == {}
    assert max(row.attempts for row in sender.ledger.rows().values()) == 1


async def test_a_greylist_defers_everybody_once_and_slows_nothing(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emails = people(200)
    grey = Fault(Stage.RCPT, b"450 4.7.1 Greylisted for 5 minutes", times=1)
    with SmtpServer(faults={one.partition("@")[0]: grey for one in emails}) as server:
        await sender.send(campaign(tmp_path, emails), [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})
    assert {row.attempts for row in sender.ledger.rows().values()} == {2}
    assert "asks for less mail" not in caplog.text


async def test_a_recipient_with_its_own_limit_delays_no_other(
    sender: Sender, tmp_path: Path
) -> None:
    """The refusal names a limit of the sender, but other recipients are accepted."""
    faults = {"user7": Fault(Stage.RCPT, b"450 too many messages", times=2)}
    document = campaign(tmp_path, people(100), retry={"first_delay_seconds": 3_600})
    put_off = {"sent": 99, "deferred": 1}
    with SmtpServer(faults=faults) as server:
        target = connection("red", server)
        async with stopped_when(
            sender, document, target, lambda _: sender.ledger.states() == put_off
        ):
            pass
        with sender.database.write() as writer:
            writer.execute(sa.update(recipients).values(next_attempt_at=0))
        await sender.send(document, [target])
        everybody_once(sender.ledger, {"red": server})
    assert sender.ledger.rows()["user7@example.com"].attempts == 1


@pytest.mark.parametrize("stays_open", [b"452 4.5.3 Too many mails", b"451 4.3.0 Try again"])
@pytest.mark.parametrize(
    "fields",
    [{"max_sessions": 1}, {"max_sessions": 4}, {"messages_in_flight": 10, "max_sessions": 2}],
)
async def test_a_server_that_takes_so_many_in_a_session_gets_new_sessions_and_is_not_slowed_down(
    stays_open: bytes,
    fields: dict[str, int],
    sender: Sender,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(
        keywords=(*ALL_KEYWORDS, "CHUNKING"), messages_per_session=40, stays_open=stays_open
    )
    with SmtpServer(settings) as server:
        document = campaign(tmp_path, people(600))
        await sender.send(document, [connection("red", server, **fields)])
        everybody_once(sender.ledger, {"red": server})
        assert 15 <= server.sessions <= 24
        # Two sessions of a length teach it; a refusal is known one message later.
        assert server.over_limit <= 4 * fields["max_sessions"] * fields.get("messages_in_flight", 1)
    assert "asks for less mail" not in caplog.text
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def test_exchange_gets_fewer_sessions_and_few_connection_attempts(
    sender: Sender, tmp_path: Path
) -> None:
    with SmtpServer(Settings(delay_seconds=0.01, most_sessions=2)) as server:
        await sender.send(
            campaign(tmp_path, people(200)), [connection("red", server, max_sessions=8)]
        )
        everybody_once(sender.ledger, {"red": server})
        assert server.sessions <= 10


OUT_OF_SEQUENCE = b"503 5.5.1 bad sequence of commands"
WAYS = pytest.mark.parametrize(
    "fields",
    [{"max_sessions": 1}, {"max_sessions": 4}, {"messages_in_flight": 10, "max_sessions": 2}],
)


@WAYS
async def test_a_recipient_for_whom_the_server_is_out_of_sequence_does_not_stop_the_connection(
    fields: dict[str, int], sender: Sender, tmp_path: Path
) -> None:
    """A rest, or a failure of the connection at the end of the list, would take it down here."""
    document = campaign(tmp_path, ["odd@example.com", *people(300)])
    never_rests = BreakerSettings(6, 0.01, 0.01, rest_seconds=3_600.0, probes=0)
    sender.settings = SenderSettings(document.retry, breaker=never_rests)
    fault = Fault(Stage.RCPT, OUT_OF_SEQUENCE)
    settings = Settings(keywords=(*ALL_KEYWORDS, "CHUNKING"), faults={"odd": fault})
    with SmtpServer(settings) as server:
        report = await sender.send(document, [connection("red", server, **fields)])
        assert server.sessions <= 3 * MOST_POINTS + fields["max_sessions"]
        assert len(server.received) == 300
    assert report.down == {}
    rows = sender.ledger.rows()
    odd = rows.pop("odd@example.com")
    assert odd.history == [("rcpt", "deferred", 503)] * 3  # as often as `retry` allows
    assert {(row.status, row.attempts) for row in rows.values()} == {("sent", 1)}


@WAYS
async def test_a_server_that_is_out_of_sequence_after_some_messages_gets_new_sessions(
    fields: dict[str, int], sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200))
    settings = Settings(
        keywords=(*ALL_KEYWORDS, "CHUNKING"), messages_per_session=20, stays_open=OUT_OF_SEQUENCE
    )
    with SmtpServer(settings) as server:
        report = await sender.send(document, [connection("red", server, **fields)])
        everybody_once(sender.ledger, {"red": server})
    assert report.down == {}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def test_a_server_that_is_out_of_sequence_for_everybody_is_down(
    sender: Sender, tmp_path: Path
) -> None:
    everybody = {f"user{number}": Fault(Stage.RCPT, OUT_OF_SEQUENCE) for number in range(30)}
    with SmtpServer(Settings(faults=everybody)) as server:
        report = await sender.send(campaign(tmp_path, people(30)), [connection("red", server)])
    assert "503" in report.down["red"]
    rows = sender.ledger.rows().values()
    assert {(row.status, row.attempts) for row in rows} == {("pending", 0)}
