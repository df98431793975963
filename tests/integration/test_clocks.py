"""The state database's clock is set back or forward while mail is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.lease import Lease
from mailsluice.delivery.silence import Silence
from mailsluice.delivery.take_over import take_over
from mailsluice.limits import Limit, Rules
from mailsluice.store import (
    Ask,
    Campaigns,
    Database,
    Ending,
    Leases,
    Outbox,
    Senders,
    Settled,
    Starts,
    Usages,
)
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.leases import LEASE_SECONDS
from mailsluice.store.schema import senders as senders_table
from tests.eventually import eventually_async
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
    """Set the database's clock forward by this many seconds."""
    clock = vars(Database)["now"]
    assert isinstance(clock, property)
    right = clock.fget
    assert right is not None
    ahead = [0.0]

    def now(database: Database) -> sa.ColumnElement[float]:
        said: sa.ColumnElement[float] = right(database)
        return said + sa.bindparam(None, type_=sa.Double(), callable_=lambda: ahead[0])

    def set_(seconds: float) -> None:
        ahead[0] += seconds

    monkeypatch.setattr(Database, "now", property(now))
    return set_


class Asker:
    """A process under the limit, with its own clock."""

    def __init__(self, database: Database) -> None:
        self.now = 1_000.0
        self._database = database
        self._usages = Usages(database, clock=lambda: self.now)

    def ask(self, *replies: float) -> Starts:
        ask = Ask("one", FIVE_AN_HOUR, 0, replies, most=10, horizon_seconds=0.25)
        with self._database.write() as transaction:
            return self._usages.reserve(transaction, [ask])[0]

    def use_up(self) -> None:
        """Ask for all five starts at this moment."""
        self.ask(*[self.now] * 5)
        self.ask()


@pytest.mark.parametrize("seconds", [-DAY, -2.0, 2.0, 7_200.0, DAY])
def test_a_used_up_limit_stays_so_for_exactly_its_hour(
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
    told = [record for record in caplog.records if "clock was set" in record.message]
    assert len(told) == 2
    assert all("limits follow the time that has really passed" in record.message for record in told)


def test_a_process_started_after_a_jump_waits_at_most_a_window(
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
async def test_a_campaign_keeps_its_pace_when_the_clock_is_set(
    tmp_path: Path, database: Database, set_clock: SetClock, seconds: float
) -> None:
    sender = Sender(database, tmp_path)
    document = campaign(tmp_path, people(90))
    with SmtpServer() as server:
        target = connection("red", server, per_second=60)
        sending = asyncio.ensure_future(sender.send(document, [target]))
        for number, jump in ((20, seconds), (40, -seconds), (60, seconds)):
            await eventually_async(lambda: len(server.received) >= number)  # noqa: B023
            set_clock(jump)
        await sending
        everybody_once(sender.ledger, {"red": server})
    assert most_in_a_second(server.received) <= 60


def test_a_clock_that_runs_right_is_not_reported(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    usages = Usages(database)
    ask = Ask("one", FIVE_AN_HOUR, 0, (), most=1, horizon_seconds=0.25)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with database.write() as transaction:
                usages.reserve(transaction, [ask])
    assert caplog.records == []


class Waiting:
    """A clock that advances only while somebody waits."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, set_clock: SetClock, renew: Callable[[], None]
    ) -> None:
        self.now = 1_000.0
        self._set_clock = set_clock
        self._renew = renew
        self._renew_at = self.now + LEASE_SECONDS / 3
        monkeypatch.setattr("mailsluice.delivery.lease.steady", lambda: self.now)
        monkeypatch.setattr("mailsluice.delivery.lease.time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self._set_clock(seconds)
        if self.now >= self._renew_at:
            self._renew_at += LEASE_SECONDS / 3
            self._renew()


@pytest.mark.parametrize("seconds", [-DAY, -60.0, 0.0, DAY])
def test_the_lease_of_a_dead_run_is_waited_for(
    database: Database, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    leases = Leases(database)
    campaign_id = Campaigns(database).register("spring", {}).id
    leases.acquire(campaign_id, "dead")
    set_clock(seconds)
    waiting = Waiting(monkeypatch, set_clock, lambda: None)
    Lease(leases, campaign_id, "heir").close()
    assert waiting.now - 1_000.0 <= LEASE_SECONDS + 2


@pytest.mark.parametrize("seconds", [-DAY, -60.0, 0.0, 60.0, DAY])
def test_a_living_run_is_not_displaced_by_a_clock_that_was_set(
    database: Database, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    leases = Leases(database)
    campaign_id = Campaigns(database).register("spring", {}).id
    leases.acquire(campaign_id, "living")
    set_clock(seconds)
    Waiting(monkeypatch, set_clock, lambda: leases.renew(campaign_id, "living"))
    with pytest.raises(CampaignBusyError, match="'living'"):
        Lease(leases, campaign_id, "heir")
    leases.renew(campaign_id, "living")


@pytest.mark.parametrize(("seconds", "waits"), [(0.0, False), (DAY, True), (-DAY, True)])
def test_a_sender_of_another_machine_is_dead_when_it_is_silent(
    database: Database,
    set_clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seconds: float,
    waits: bool,
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("mailsluice.delivery.take_over.steady", lambda: now[0])
    campaign_id = Campaigns(database).register("spring", {}).id
    senders, silence = Senders(database, campaign_id), Silence()
    one, other = (senders.begin("red", owner, owner) for owner in ("one", "other"))
    with database.write() as transaction:
        transaction.execute(
            sa.update(senders_table)
            .where(senders_table.c.id == one)
            .values(lease_until=database.now - 1.0)
        )
    set_clock(seconds)

    def dead() -> int:
        return take_over(database, campaign_id, tmp_path, UncertainPolicy.HOLD, None, silence)

    assert dead() == (not waits)
    for _ in range(5):  # the other one renews its lease
        now[0] += 10.0
        set_clock(10.0)
        senders.renew(other, None)
        dead()
    endings = {record.id: record.ending for record in senders.all()}
    assert endings[other] is None
    assert one not in endings or endings[one] is Ending.LOST


async def test_recipients_deferred_while_the_clock_was_ahead_do_not_wait_a_day(
    database: Database, set_clock: SetClock, tmp_path: Path
) -> None:
    sender = Sender(database, tmp_path)
    document = campaign(tmp_path, people(2), retry={"first_delay_seconds": 60})
    run = sender.prepare(document)
    set_clock(DAY)
    with database.write() as transaction:
        (one, _) = run.outbox.claim(transaction, "red", 2)
        put_off = Settled(one.id, RecipientStatus.DEFERRED, 1, 450, "later", 60.0)
        run.outbox.settle(transaction, [put_off])
        assert run.outbox.next_due_seconds(transaction, "red") == pytest.approx(60, abs=30)
    set_clock(-DAY)
    with database.write() as transaction:
        assert run.outbox.next_due_seconds(transaction, "red") == pytest.approx(0, abs=30)
        (again,) = run.outbox.claim(transaction, "red", 2)
        assert again.id == one.id
    await run.close()


def test_recipients_that_wait_for_a_day_of_a_warm_up_keep_waiting(database: Database) -> None:
    campaign_id = Campaigns(database).register("spring", {}).id
    outbox = Outbox(database, campaign_id, longest_delay_seconds=60.0)
    week = 7 * DAY
    with database.write() as transaction:
        transaction.execute(
            sa.insert(tables_of(database, campaign_id).recipients).values(
                campaign_id=campaign_id,
                email="a@example.com",
                connection="red",
                status="deferred",
                variables="{}",
                next_attempt_at=database.now + week,
            )
        )
        assert outbox.next_due_seconds(transaction, "red") == pytest.approx(week, abs=30)
