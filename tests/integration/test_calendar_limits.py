"""A provider's daily and monthly quota over a simulated quarter, with the real store of usage."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from mailsluice.core.errors import CampaignError
from mailsluice.delivery.rule_book import own_rules
from mailsluice.limits import Estate
from mailsluice.operations.quotas import limit_uses, quota_uses, set_used_this_month
from mailsluice.smtp.connection import Connection
from mailsluice.store import Ask, Database, Usages

BEGINNING, END = datetime(2026, 9, 28, tzinfo=UTC), datetime(2027, 1, 3, tzinfo=UTC)
BERLIN = Connection(
    "relay",
    "localhost",
    25,
    per_calendar_day=200,
    day_begins_at=6,
    per_month=3_000,
    calendar_timezone="Europe/Berlin",
)
MOST = 4 * 3_000
BOOT = BEGINNING.timestamp() - 5_000.0


class World:
    """The database's clock, and the moments at which the server gets messages."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = BEGINNING.timestamp()
        self.connection = BERLIN
        self.arrivals: list[float] = []

    def is_before(self, end: datetime) -> bool:
        return self.now < end.timestamp()


class Sender:
    """A process that sends as fast as the quotas allow."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._world = world
        self._usages = Usages(world.database, clock=self._clock)
        self._replies: list[float] = []
        self._answered = 0
        self.ask_at = world.now

    def _clock(self) -> float:
        return self._world.now - BOOT

    def ask(self, most: int) -> int:
        """Ask for starts, and use them at once; returns how many there were."""
        world = self._world
        rules = own_rules(world.database, world.connection)
        ask = Ask(self.name, rules, 0, self._replies, most, 0.4, self._answered)
        with world.database.write() as transaction:
            starts = self._usages.reserve(transaction, [ask])[0]
        self._replies = []
        for moment in starts.moments:
            world.arrivals.append(max(world.now, moment + BOOT) + 0.05)
            self._replies.append(world.arrivals[-1] + 0.05 - BOOT)
        self._answered += len(starts.moments)
        if starts.moments or starts.next_at == math.inf:
            self.ask_at = world.now + 1.0
        else:
            self.ask_at = starts.next_at + BOOT - 0.4
        return len(starts.moments)

    def inherit(self) -> None:
        """Let another process find in the journal of this dead one that all starts were used."""
        with self._world.database.write() as transaction:
            estate = Estate(self.name, 0, self._answered)
            self._usages.bequeath(transaction, estate, ["connection relay"])


@pytest.fixture
def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(database)
    shown: sa.BindParameter[float] = sa.bindparam(
        None, type_=sa.Double(), callable_=lambda: world.now
    )
    monkeypatch.setattr(Database, "now", property(lambda _: sa.cast(shown, sa.Double())))
    return world


def send_until(world: World, end: datetime, senders: list[Sender]) -> None:
    while world.is_before(end):
        sender = min(senders, key=lambda sender: sender.ask_at)
        world.now = max(world.now + 0.01, sender.ask_at)
        if world.is_before(end):
            sender.ask(40)
        assert len(world.arrivals) < MOST, "no quota holds"


def months(arrivals: list[float], zone: str) -> Counter[str]:
    return Counter(f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m}" for at in arrivals)


def days(arrivals: list[float], zone: str, hour: int) -> Counter[object]:
    """Count by day; a day begins at this hour of the clock on the wall."""
    local = (datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None) for at in arrivals)
    return Counter((moment - timedelta(hours=hour)).date() for moment in local)


def test_quotas_hold_over_a_quarter_with_several_senders_kills_and_restarts(world: World) -> None:
    senders = [Sender(world, name) for name in ("a", "b", "c")]
    send_until(world, datetime(2026, 10, 10, 3, 59, tzinfo=UTC), senders)
    world.now += 61
    assert all(sender.ask(40) == 40 for sender in senders)  # and all are killed
    senders[0].inherit()
    senders = [Sender(world, name) for name in ("d", "e")]
    send_until(world, END, senders)
    by_month = months(world.arrivals, "Europe/Berlin")
    assert max(days(world.arrivals, "Europe/Berlin", 6).values()) == 200
    assert max(by_month.values()) == 3_000
    assert min(by_month[month] for month in ("2026-10", "2026-11", "2026-12")) >= 0.98 * 3_000


def test_a_time_zone_and_a_billing_day_that_change_in_a_month_hold_at_once(world: World) -> None:
    senders = [Sender(world, name) for name in ("a", "b")]
    send_until(world, datetime(2026, 11, 10, 12, tzinfo=UTC), senders)
    world.connection = replace(BERLIN, calendar_timezone="America/New_York")
    send_until(world, datetime(2026, 12, 5, tzinfo=UTC), senders)
    assert months(world.arrivals, "America/New_York")["2026-11"] == 3_000
    changed = world.now
    world.connection = replace(world.connection, month_begins_on=20, per_calendar_day=None)
    send_until(world, datetime(2026, 12, 19, 4, tzinfo=UTC), senders)
    since = datetime(2026, 11, 20, tzinfo=ZoneInfo("America/New_York")).timestamp()
    assert sum(at >= since for at in world.arrivals) == 3_000
    assert any(at > changed for at in world.arrivals)


def test_the_use_of_limits_is_shown_and_corrected(world: World) -> None:
    world.now = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
    world.connection = connection = replace(BERLIN, per_hour=300)
    sender = Sender(world, "a")
    for _ in range(3):
        sender.ask(1)
        world.now += 13
    sender.ask(0)
    set_used_this_month(world.database, connection, 1_234)
    uses = [(use.limit, use.used, use.allowed) for use in limit_uses(world.database, connection)]
    assert uses == [
        ("per_hour", 3, 300),
        ("per_calendar_day", 3, 200),
        ("per_month", 1_234, 3_000),
    ]
    moment = datetime(2026, 12, 24, tzinfo=UTC)
    (day, month) = quota_uses(world.database, {"relay": connection}, moment)["relay"]
    assert (day.used, month.used, month.room) == (0, 0, 3_000)


def test_the_use_of_a_month_is_refused_where_there_is_no_quota(database: Database) -> None:
    with pytest.raises(CampaignError, match="has no monthly quota: set per_month"):
        set_used_this_month(database, replace(BERLIN, per_month=None), 5)
    with pytest.raises(CampaignError, match="give 0 or more"):
        set_used_this_month(database, BERLIN, -1)
