"""The state database's clock is set, back or forward, while mail is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.outbox import Ask, Database, Starts, Usages
from mailsluice.pacing import Limit, Rules
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.smtpd import SmtpServer, most_in_a_second

DAY = 86_400.0
FIVE_AN_HOUR = {"connection red": Rules((Limit(5, 3_600.0), Limit(5, 1.0)))}

SetClock = Callable[[float], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets the database's clock this many seconds forward."""
    right = Database.now.fget
    ahead = [0.0]
    assert right is not None

    def now(database: Database) -> sa.ColumnElement[float]:
        said: sa.ColumnElement[float] = right(database)
        return said + sa.literal_column(repr(ahead[0]), sa.Double()) if ahead[0] else said

    def set_(seconds: float) -> None:
        ahead[0] += seconds

    monkeypatch.setattr(Database, "now", property(now))
    return set_


class Asker:
    """One process under the limit, by a clock of its own."""

    def __init__(self, database: Database) -> None:
        self.now = 1_000.0
        self._database = database
        self._usages = Usages(database, clock=lambda: self.now)

    def ask(self, *replies: float) -> Starts:
        ask = Ask("one", FIVE_AN_HOUR, 0, replies, most=10, horizon_seconds=0.25)
        with self._database.write() as transaction:
            return self._usages.reserve(transaction, [ask])[0]

    def use_up(self) -> None:
        """All five, at this moment."""
        self.ask(*[self.now] * 5)
        self.ask()


@pytest.mark.parametrize("seconds", [-DAY, -2.0, 2.0, 7_200.0, DAY])
def test_a_limit_that_is_used_up_stays_so_for_its_hour_and_no_longer(
    database: Database, set_clock: SetClock, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    asker = Asker(database)
    asker.use_up()
    set_clock(seconds)
    for _ in range(3):
        starts = asker.ask()
        assert starts.moments == []
        assert starts.next_at - asker.now == pytest.approx(3_600, abs=30)
    set_clock(-seconds)  # it is right again
    starts = asker.ask()
    assert starts.moments == []
    assert starts.next_at - asker.now == pytest.approx(3_600, abs=30)
    told = [one for one in caplog.records if "clock was set" in one.message]
    assert len(told) == 2
    assert all("limits go on by the time that has really passed" in one.message for one in told)


def test_a_process_after_the_jump_waits_for_a_window_at_most(
    database: Database, set_clock: SetClock
) -> None:
    before = Asker(database)
    before.use_up()
    set_clock(-DAY)
    after = Asker(database)
    starts = after.ask()
    assert starts.moments == []
    assert starts.next_at - after.now == pytest.approx(3_600, abs=30)


@pytest.mark.parametrize("seconds", [-DAY, DAY])
async def test_a_campaign_goes_on_at_its_pace_when_the_clock_is_set(
    tmp_path: Path, database: Database, set_clock: SetClock, seconds: float
) -> None:
    sender = Sender(database, tmp_path)
    document = campaign(tmp_path, people(90))
    with SmtpServer() as server:
        target = connection("red", server, per_second=30)
        sending = asyncio.ensure_future(sender.send(document, [target]))
        for number, jump in ((20, seconds), (40, -seconds), (60, seconds)):
            while len(server.received) < number:  # noqa: ASYNC110 another thread brings it about
                await asyncio.sleep(0.005)
            set_clock(jump)
        await sending
        everybody_once(sender.ledger, {"red": server})
    assert most_in_a_second(server.received) <= 30


def test_a_clock_that_goes_right_is_no_news(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    usages = Usages(database)
    ask = Ask("one", FIVE_AN_HOUR, 0, (), most=1, horizon_seconds=0.25)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with database.write() as transaction:
                usages.reserve(transaction, [ask])
    assert caplog.records == []
