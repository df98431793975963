"""How a campaign gets on, seen from outside while its connections send, wait and fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailsluice.campaign import Campaign
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.reports.progress import Binding, Cause, Progress, Standing, Tally
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    gives_up,
    lock,
    people,
)
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Fault, Stage

pytestmark = pytest.mark.takes_turns


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    return Sender(database, tmp_path)


class Watched:
    """A campaign that is being sent, and looked at."""

    def __init__(self, run: CampaignRun, sending: asyncio.Task[object]) -> None:
        self.run = run
        self.sending = sending

    async def until(self, condition: Callable[[Progress], bool]) -> Progress:
        """Look until it is so."""
        return await eventually_async(self.run.progress, condition)

    async def until_it_waits(self, cause: Cause) -> Standing:
        """Look until this is what binds its (first) connection."""
        progress = await self.until(lambda seen: seen.standings[0].binding.cause is cause)
        return progress.standings[0]


@asynccontextmanager
async def watched(
    sender: Sender, document: Campaign, connections: Sequence[Connection]
) -> AsyncIterator[Watched]:
    """Send a campaign while the `with` block runs, then stop it."""
    run = await asyncio.to_thread(sender.prepare, document)
    try:
        await asyncio.to_thread(run.count)
        sending = asyncio.ensure_future(sender.send_prepared(run, document, connections))
        yield Watched(run, sending)
        run.stop()
        await sending
    finally:
        await run.close()


async def test_numbers_go_on_from_those_of_the_runs_before(sender: Sender, tmp_path: Path) -> None:
    emails = [*people(40), "550-at-rcpt@example.com", "drop-at-accepted@example.com"]
    document = campaign(tmp_path, [*emails, "450-at-rcpt-once.1@example.com"], ["red", "green"])
    with SmtpServer() as red, SmtpServer() as green:
        connections = [connection("red", red), connection("green", green)]
        today = WarmUp(start=datetime.now(UTC).date() - timedelta(days=1), daily_caps=(5, 5, 5))
        capped = [replace(one, warm_up=today) for one in connections]  # so the rest is left over
        async with watched(sender, document, capped) as first:
            assert (await first.until(lambda seen: seen.tally.sent > 5)).tally.sent < 43
        async with watched(sender, document, connections) as second:
            before = await second.run.progress()
            assert before.tally.sent > 5
            await second.sending
            after = await second.run.progress()
        counts = await asyncio.to_thread(second.run.outbox.counts)
    assert [one.connection for one in after.standings] == ["red", "green"]
    assert {one.binding for one in after.standings} == {Binding(Cause.DONE)}
    for one in after.standings:
        stored = Tally.of(counts.by_connection[one.connection])
        deferrals = one.tally.deferrals
        assert one.tally == stored + Tally(deferrals=deferrals)
    tally = after.tally
    assert (tally.assigned, tally.sent, tally.failed, tally.uncertain) == (43, 41, 1, 1)
    assert tally.left == 0


@pytest.mark.parametrize(
    ("limits", "throttle", "words"),
    [
        ({"per_hour": 20}, {}, "red per_hour 20"),
        ({"per_second": 500, "per_day": 20}, {}, "red per_day 20"),
        ({"per_hour": 500}, {"per_minute": 2}, "per_minute 2"),
    ],
)
async def test_the_limit_that_holds_a_connection_is_named(
    sender: Sender,
    tmp_path: Path,
    limits: dict[str, int],
    throttle: dict[str, int],
    words: str,
) -> None:
    document = campaign(tmp_path, people(30), throttle=throttle)
    with SmtpServer() as server:
        async with watched(sender, document, [connection("red", server, **limits)]) as seen:
            held = await seen.until_it_waits(Cause.LIMIT)
    assert held.binding.detail.endswith(words)
    assert held.binding.until is not None
    assert held.binding.until > datetime.now(UTC)


async def test_a_warm_ups_cap_is_named(sender: Sender, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    document = campaign(tmp_path, people(12))
    with SmtpServer() as server:
        warm_up = WarmUp(start=today - timedelta(days=1), daily_caps=(1, 5, 5))
        async with watched(sender, document, [connection("red", server, warm_up=warm_up)]) as seen:
            held = await seen.until_it_waits(Cause.LIMIT)
    assert held.binding.detail == "red's warm-up: 5 a day"


async def test_a_connection_that_is_given_up_says_why_and_the_other_goes_on(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(40), ["red", "green"])
    refusal = b"550 5.7.1 <news@example.com>: Sender address rejected"
    refusing = Settings(faults={"news": Fault(Stage.MAIL, refusal)})
    with SmtpServer(refusing) as red, SmtpServer() as green:
        both = [connection("red", red), connection("green", green)]
        async with watched(sender, document, both) as seen:
            first = await seen.until_it_waits(Cause.QUARANTINED)
            await seen.sending
            _, second = (await seen.run.progress()).standings
    assert first.binding.detail == "mail: 550 5.7.1 <address>: Sender address rejected"
    assert first.tally == Tally(20)
    assert second.binding.cause is Cause.DONE
    assert second.tally == Tally(20, 20)


async def test_who_was_moved_from_a_connection_that_is_down_counts_where_he_is_now(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(40), ["red", "green"])
    refusal = b"550 5.7.1 <news@example.com>: Sender address rejected"
    refusing = Settings(faults={"news": Fault(Stage.MAIL, refusal)})
    with SmtpServer(refusing) as red, SmtpServer() as green:
        both = [connection("red", red), connection("green", green)]
        async with watched(sender, document, both) as seen:
            await seen.sending
            assert await asyncio.to_thread(gives_up, seen.run, "red") == {"green"}
            await asyncio.to_thread(seen.run.count)
            first, second = (await seen.run.progress()).standings
            assert (first.binding.cause, first.tally) == (Cause.QUARANTINED, Tally())
            assert (second.binding.cause, second.tally) == (Cause.STARTING, Tally(40, 20))
            await sender.send_prepared(seen.run, document, [both[1]])
            second = (await seen.run.progress()).standings[1]
    assert (second.binding.cause, second.tally) == (Cause.DONE, Tally(40, 40))


@pytest.mark.parametrize(
    ("failures", "cause"),
    [(2, Cause.RETRYING), (1, Cause.RESTING)],  # the first failure is one of two, or opens it
)
async def test_a_server_that_is_away_is_tried_again(
    sender: Sender, tmp_path: Path, failures: int, cause: Cause
) -> None:
    trouble = BreakerSettings(failures, 1_000, max_delay_seconds=1_000, rest_seconds=1_000)
    sender.settings = SenderSettings(breaker=trouble)
    with SmtpServer() as server:
        reached = connection("red", server, max_sessions=1)
    async with watched(sender, campaign(tmp_path, people(5)), [reached]) as seen:
        waits = await seen.until_it_waits(cause)
    assert "connection refused" in waits.binding.detail
    assert waits.binding.until is not None
    assert waits.binding.until - datetime.now(UTC) > timedelta(seconds=20)


async def test_outside_its_sending_window_it_waits_until_it_opens(
    sender: Sender, tmp_path: Path
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    window = {"days": f"{tomorrow:%a}", "start": "09:00"}
    with SmtpServer() as server:
        document = campaign(tmp_path, people(5), sending_window=window)
        async with watched(sender, document, [connection("red", server)]) as seen:
            waits = await seen.until_it_waits(Cause.WINDOW)
    assert waits.binding.until is not None
    opens = tomorrow.replace(hour=9, minute=0, second=0, microsecond=0)
    assert abs(waits.binding.until - opens) < timedelta(seconds=1)


async def test_deferred_recipients_paused_runs_and_stopped_ones(
    sender: Sender, tmp_path: Path
) -> None:
    retry = {"first_delay_seconds": 900, "max_delay_seconds": 900}
    document = campaign(tmp_path, ["450-at-rcpt@example.com"], retry=retry)
    with SmtpServer() as server:
        async with watched(sender, document, [connection("red", server)]) as seen:
            later = await seen.until_it_waits(Cause.DEFERRED)
            seen.run.on_hold = True
            await seen.until_it_waits(Cause.PAUSED)
            seen.run.on_hold = False
            await seen.until_it_waits(Cause.DEFERRED)
            seen.run.stop()
            await seen.until_it_waits(Cause.STOPPED)
    assert later.tally == Tally(1, deferrals=1)
    assert later.tally.left == 1
    assert later.binding.until is not None
    assert later.binding.until > datetime.now(UTC)


async def test_a_database_that_is_away_is_what_binds(
    tmp_path: Path, new_sqlite: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsluice.store.database._BUSY_TIMEOUT_SECONDS", 0)
    path = tmp_path / "state.db"
    with Database(new_sqlite(path)) as database, SmtpServer(Settings(delay_seconds=0.01)) as red:
        document = campaign(tmp_path, people(3_000))
        async with watched(Sender(database, tmp_path), document, [connection("red", red)]) as seen:
            await seen.until(lambda progress: progress.tally.sent > 5)
            holder = lock(str(path))
            await seen.until_it_waits(Cause.DATABASE_AWAY)
            holder.close()
            await seen.until_it_waits(Cause.FREE)
