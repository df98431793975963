"""A campaign with a finish time, at real servers: spread until then, refused where that is past."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import mailsluice
from mailsluice.campaign import Campaign, Throttle
from mailsluice.core.errors import CampaignError
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from mailsluice.store.finishes import Finishes, Left
from mailsluice.store.schema import campaigns, recipients, usage
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, people, processes
from tests.smtpd import SmtpServer

pytestmark = pytest.mark.takes_turns

SPAN_SECONDS = 6.0
HALF_A_CAMPAIGN = 30


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))


def stored(url: str) -> tuple[datetime, datetime]:
    """From when until when the campaign is spread."""
    query = sa.select(campaigns.c.spread_since, campaigns.c.finish_at)
    with Database(url) as database, database.read() as reader:
        since, until = reader.execute(query).one()
    return datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)


def count(url: str, table: sa.Table) -> int:
    with Database(url) as database, database.read() as reader:
        return int(reader.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def spread_campaign(folder: Path, **fields: Any) -> Campaign:
    return campaign(
        folder,
        people(2 * HALF_A_CAMPAIGN),
        ("red", "green"),
        spread_over=f"{SPAN_SECONDS / 3_600:.5f}",
        **fields,
    )


def check_spread(url: str, servers: Sequence[SmtpServer], doubtful: int = 0) -> None:
    """Check that each server got its part once, and spread over the time until the finish time.

    How close to that the last one comes is for `tests/unit/test_finish_simulation.py`: where the
    machine is busy, the counts that the pace follows lag behind by some messages.
    """
    since, until = stored(url)
    assert (until - since).total_seconds() == pytest.approx(SPAN_SECONDS, abs=0.02)
    earliest = (since + 0.5 * (until - since)).timestamp()
    ahead = -time.monotonic() + time.time()  # an interruption between them adds to it
    for server in servers:
        assert HALF_A_CAMPAIGN - doubtful <= len(server.received) <= HALF_A_CAMPAIGN
        assert len(server.received) == len(server.recipients)
        assert ahead + max(one.time for one in server.received) >= earliest
    assert count(url, usage) == 0  # nobody needs the pace of a campaign that is over


def _send_in_a_process(
    home: str, url: str, document: Campaign, connections: list[Connection]
) -> None:
    os.environ["MAILSLUICE_HOME"] = home  # the server of processes has that of an earlier test
    mailsluice.send(document, connections, database=url)


async def test_mail_is_spread_until_the_finish_time_also_after_a_kill(
    database_url: str, tmp_path: Path
) -> None:
    document = spread_campaign(tmp_path)
    with SmtpServer() as red, SmtpServer() as green:
        connections = [connection("red", red), connection("green", green)]
        killed = processes().Process(
            target=_send_in_a_process,
            args=(os.environ["MAILSLUICE_HOME"], database_url, document, connections),
        )
        killed.start()
        try:
            await eventually_async(lambda: red.received and green.received)
        finally:
            killed.kill()
            await asyncio.to_thread(killed.join)
        begun = stored(database_url)
        report = await mailsluice.send_async(document, connections, database=database_url)
        assert stored(database_url) == begun
        assert not report.open
        check_spread(database_url, (red, green), doubtful=4)


async def test_processes_keep_the_pace_of_a_connection_together(
    database_url: str, tmp_path: Path
) -> None:
    document = spread_campaign(tmp_path, processes=2)
    with SmtpServer() as red, SmtpServer() as green:
        connections = [connection("red", red), connection("green", green)]
        await mailsluice.send_async(document, connections, database=database_url)
        check_spread(database_url, (red, green))


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (lambda now: {"finish_by": _at(now - timedelta(minutes=1))}, "has passed"),
        (lambda now: {"finish_by": _at(now + timedelta(days=400))}, "more than a year away"),
        (
            lambda now: {
                "finish_by": _at(now + timedelta(hours=1)),
                "sending_window": {
                    "days": "Mon-Sun",
                    "start": f"{now + timedelta(hours=3):%H:%M}",
                    "end": f"{now + timedelta(hours=5):%H:%M}",
                },
            },
            "its sending window opens at",
        ),
    ],
)
async def test_a_finish_time_that_cannot_be_reached_is_refused_before_anything_is_written(
    database_url: str,
    tmp_path: Path,
    fields: Callable[[datetime], dict[str, Any]],
    reason: str,
) -> None:
    document = campaign(tmp_path, people(3), **fields(datetime.now(UTC)))
    with SmtpServer() as red, pytest.raises(CampaignError, match=reason):
        await mailsluice.send_async(document, [connection("red", red)], database=database_url)
    assert count(database_url, campaigns) == count(database_url, recipients) == 0


async def test_a_campaign_that_will_be_late_says_so_and_goes_on_at_full_speed_after_its_time(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    end = datetime.now(UTC) + timedelta(hours=1)
    document = campaign(tmp_path, people(40), finish_by=_at(end), throttle={"per_day": 3})
    seen: list[mailsluice.Progress] = []
    with SmtpServer() as red:
        target = [connection("red", red)]
        await mailsluice.send_async(
            document, target, database=database_url, wait_seconds=1.0, on_progress=seen.append
        )
        assert seen[-1].finish is not None
        assert list(seen[-1].finish.late) == ["red"]
        assert "the campaign will not be finished by " in caplog.text
        passed = {
            "throttle": Throttle(),
            "finish_by": _at(datetime.now(UTC) - timedelta(hours=1)),
        }
        late = document.model_copy(update=passed)
        report = await mailsluice.send_async(late, target, database=database_url)
    assert report.summary().startswith("40 of 40 sent")
    assert "which has passed: what is left (39)" in caplog.text


def test_what_is_left_is_counted_by_whether_it_is_due_before_the_end(
    database: Database, tmp_path: Path
) -> None:
    sender, now = Sender(database, tmp_path), datetime.now(UTC)
    document = campaign(tmp_path, people(12), ("red", "green"))
    run = sender.prepare(document)
    try:
        later = {"status": "deferred", "next_attempt_at": now.timestamp() + 7_200}
        soon = {**later, "next_attempt_at": now.timestamp() + 60}
        reds: list[dict[str, Any]] = [{"status": "sent"}, {"status": "sending"}, soon, later]
        reds += [{"status": "failed"}, {}]
        with database.write() as transaction:
            every = transaction.execute(sa.select(recipients.c.id).order_by(recipients.c.id))
            for place, recipient_id in enumerate(every.scalars().all()):
                values = {"connection": "green"}
                if place < len(reds):
                    values = {**reds[place], "connection": "red"}
                change = sa.update(recipients).where(recipients.c.id == recipient_id)
                transaction.execute(change.values(**values))
        left = Finishes(database, run.id).left(now + timedelta(hours=1))
        assert left == {"red": Left(due=3, later=1), "green": Left(due=6, later=0)}
    finally:
        asyncio.run(run.close())
