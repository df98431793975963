"""Recipients are claimed while the sending window is open in their time zone, and only then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.campaign import SendingWindow
from mailsluice.campaign.estimate import Load
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.group_commit import GroupCommit
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.delivery.store_requests import ClaimedBatch, ClaimRequest, Requests
from mailsluice.limits import Bound, Limit
from mailsluice.store import (
    EVERYBODY,
    Campaigns,
    Claimed,
    ClaimScope,
    Database,
    Launches,
    Outbox,
    RouteRecord,
    Settled,
    Transaction,
    Zones,
)
from tests.thorough import examples

MORNING = SendingWindow(days="Mon-Sun", start="09:00", end="12:00", timezone="Europe/Berlin")
TOKYO, BERLIN, NEW_YORK = "Asia/Tokyo", "", "America/New_York"
NIGHT = datetime(2026, 11, 22, 23, tzinfo=UTC)  # in Tokyo it is 8 in the morning
HOUR = timedelta(hours=1)
LONG = timedelta(days=9)

_names = iter(range(1_000_000))


class World:
    """A launched campaign with recipients in time zones, and a clock on the wall to be set."""

    def __init__(
        self,
        database: Database,
        counts: dict[str, int],
        window: SendingWindow = MORNING,
        *,
        warming: int = 0,
        providers: int = 1,
    ) -> None:
        """`warming` are recipients that a warm-up has deferred to a day that has come."""
        number, self.name = sum(counts.values()), f"campaign {next(_names)}"
        record = Campaigns(database).register(self.name, {})
        launches = Launches(database)
        launches.store_audience(record.id, [_audience(number, warming, providers)], [])
        launches.finish(
            record.id,
            read_rows=number,
            accepted=number,
            rejected={},
            assigned=[RouteRecord("a", None, number)],
            digest="",
            zones=counts,
        )
        self.database, self.window = database, window
        self.outbox = Outbox(database, record.id)
        self.parts = Zones(database).of(record.id)
        self.now = NIGHT
        self.begin()

    def begin(self, window: SendingWindow | None = None) -> None:
        """Begin a run, perhaps with a window that an operator has changed."""
        self.window = window or self.window
        self.hours = RecipientHours(self.window, self.parts, self._wall)
        self.commit = GroupCommit(self.database, self.outbox, None, None, hours=self.hours)

    def _wall(self) -> float:
        return self.now.timestamp()

    def zone_of(self, row: Claimed) -> str:
        return next(part.zone for part in self.parts if row.id <= part.last_id)

    def claim(
        self, limit: int = 10, scope: ClaimScope = EVERYBODY, released: Sequence[int] = ()
    ) -> ClaimedBatch:
        """Claim as a lane does. No claimed recipient's window is closed."""
        loop = asyncio.new_event_loop()
        claim = ClaimRequest("a", limit, loop.create_future(), scope)
        loop.close()
        requests = Requests(claims=[claim], released=[*released])
        answers = self.commit.attempt(requests)
        self.commit.committed(requests, answers)
        (batch,) = answers.batches
        for row in batch.rows:
            assert self.window.in_zone(self.zone_of(row)).is_open(self.now)
        return batch

    def zones(self, batch: ClaimedBatch) -> Counter[str]:
        return Counter(self.zone_of(row) for row in batch.rows)

    def settle(self, rows: Sequence[Claimed], *, defer: bool = False) -> None:
        status = RecipientStatus.DEFERRED if defer else RecipientStatus.SENT
        settled = [
            Settled(row.id, status, row.attempts + 1, delay_seconds=-1.0 if defer else None)
            for row in rows
        ]
        with self.database.write() as transaction:
            self.outbox.settle(transaction, settled)

    def states(self) -> dict[RecipientStatus, int]:
        return dict(self.outbox.counts().by_connection["a"])


class Busy:
    """A peer that may always put recipients back. Implements `Peers`."""

    def may_claim(self, transaction: Transaction) -> bool:
        return True

    def idle(self, transaction: Transaction) -> None: ...

    def are_busy(self, transaction: Transaction) -> bool:
        return True


def _audience(number: int, warming: int, providers: int) -> pd.DataFrame:
    is_warming = [place % 2 == 0 and place < 2 * warming for place in range(number)]
    return pd.DataFrame(
        {
            "email": [f"user{place}@example.com" for place in range(number)],
            "connection": "a",
            "variables": "{}",
            "provider": [1 + place % providers for place in range(number)],
            "status": ["deferred" if later else "pending" for later in is_warming],
            "next_attempt_at": [1.0 if later else None for later in is_warming],
        }
    )


def test_each_zone_waits_for_its_own_morning(database: Database) -> None:
    world = World(database, {NEW_YORK: 3, TOKYO: 2, BERLIN: 1})
    batch = world.claim()
    assert not batch.rows
    assert (batch.zone, batch.next_due_seconds) == ("09:00 in Asia/Tokyo (2 recipients)", 3_600)
    world.now += HOUR
    assert world.zones(world.claim()) == {TOKYO: 2}
    batch = world.claim()
    assert (batch.zone, batch.next_due_seconds) == ("09:00 in Europe/Berlin (1 recipient)", 28_800)
    world.now += 8 * HOUR
    assert world.zones(world.claim()) == {BERLIN: 1}
    world.now += 6 * HOUR
    assert world.zones(world.claim()) == {NEW_YORK: 3}
    batch = world.claim()
    assert not batch.rows
    assert (batch.next_due_seconds, batch.zone) == (None, "")


def test_of_the_open_zones_the_first_to_close_is_sent_to_first(database: Database) -> None:
    world = World(database, {"Europe/London": 5, BERLIN: 5, "Europe/Athens": 5})
    world.now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert world.zones(world.claim(12)) == {"Europe/Athens": 5, BERLIN: 5, "Europe/London": 2}


def test_what_limits_have_left_over_waits_for_the_next_morning(database: Database) -> None:
    world = World(database, {TOKYO: 5, NEW_YORK: 2})
    world.now += HOUR
    world.settle(world.claim(2).rows)
    left = world.claim(2)
    world.now += 3 * HOUR  # Tokyo closes
    batch = world.claim(released=[row.id for row in left.rows])
    assert batch.zone == "09:00 in America/New_York (2 recipients)"
    world.now += 11 * HOUR
    world.settle(world.claim().rows)
    batch = world.claim()
    assert batch.zone == "09:00 in Asia/Tokyo (3 recipients)"
    world.now += timedelta(seconds=batch.next_due_seconds or 0)
    assert world.zones(world.claim()) == {TOKYO: 3}


def test_a_retry_that_is_due_while_its_zone_is_closed_waits_with_the_others(
    database: Database,
) -> None:
    world = World(database, {TOKYO: 3})
    world.now += HOUR
    world.settle(world.claim(2).rows, defer=True)
    world.now += 3 * HOUR
    batch = world.claim()
    assert not batch.rows
    assert batch.zone == "09:00 in Asia/Tokyo (3 recipients)"
    assert world.states() == {RecipientStatus.PENDING: 3}
    world.now += 21 * HOUR
    assert sorted(row.attempts for row in world.claim().rows) == [0, 1, 1]


def test_recipients_of_a_warm_up_day_wait_for_the_day_and_for_their_zone(
    database: Database,
) -> None:
    """Thousands that are due in closed zones delay nobody whose zone is open."""
    world = World(database, {NEW_YORK: 600, TOKYO: 2}, warming=301)
    world.now += HOUR
    assert world.zones(world.claim(4)) == {TOKYO: 2}
    world.now += 14 * HOUR
    assert world.zones(world.claim(1_000)) == {NEW_YORK: 600}


def test_a_window_that_an_operator_has_changed_applies_to_all_that_wait(
    database: Database,
) -> None:
    world = World(database, {TOKYO: 4, BERLIN: 1})
    world.now += HOUR
    world.settle(world.claim(2).rows, defer=True)
    world.now += 4 * HOUR  # 13:00 in Tokyo
    assert not world.claim().rows
    world.begin(MORNING.model_copy(update={"end": "15:00", "timezone": "Asia/Seoul"}))
    assert world.zones(world.claim()) == {TOKYO: 4, BERLIN: 1}  # no zone is known: the window's own


def test_a_provider_that_claims_for_itself_follows_the_same_hours(database: Database) -> None:
    world = World(database, {TOKYO: 6, BERLIN: 4}, providers=2)
    world.now += HOUR
    apart = ClaimScope(without=frozenset({1}))
    assert {row.provider for row in world.claim(scope=apart).rows} == {2}
    assert world.claim(scope=apart).zone == "09:00 in Europe/Berlin (2 recipients)"
    assert world.zones(world.claim(scope=ClaimScope(1))) == {TOKYO: 3}
    assert world.claim(scope=ClaimScope(1)).zone == "09:00 in Europe/Berlin (2 recipients)"


def test_what_a_peer_puts_back_after_the_closing_is_found_within_a_minute(
    database: Database,
) -> None:
    """The peer holds recipients while this process looks for others, and waits for nothing else."""
    world = World(database, {TOKYO: 3})
    world.now += HOUR
    held = world.claim(3).rows
    world.commit = GroupCommit(database, world.outbox, Busy(), None, hours=world.hours)
    world.now += 3 * HOUR
    assert world.claim().next_due_seconds == 1.0
    with database.write() as transaction:
        world.outbox.release(transaction, [row.id for row in held])
    world.now += timedelta(minutes=1)
    world.claim()
    assert world.claim().zone == "09:00 in Asia/Tokyo (3 recipients)"


def test_a_claim_reads_only_the_range_of_its_zone(database: Database) -> None:
    """The index on ids finds the first pending recipient behind any number of others."""
    world = World(database, {BERLIN: 5, TOKYO: 5})
    world.now += HOUR
    scope = EVERYBODY._replace(last_id=world.parts[1].last_id)
    with database.write() as transaction:
        after = world.parts[1].after_id
        first = world.outbox.first_pending(transaction, "a", after, scope)
        assert first == after + 1
        assert world.outbox.count_pending(transaction, "a", after, scope) == 5


def test_a_campaign_ends_when_its_plan_says(sqlite_database: Database) -> None:
    """Claimed at an even pace, through two mornings in three zones."""
    counts = {TOKYO: 40, BERLIN: 30, "Europe/London": 25, NEW_YORK: 8}
    world = World(sqlite_database, counts)
    pace = Bound(Limit(10, 3_600.0), "red")
    planned = Load(NIGHT, [(NIGHT, sum(counts.values()))], [pace], MORNING, counts)
    while (batch := world.claim(1)).rows or batch.next_due_seconds is not None:
        if batch.rows:
            world.settle(batch.rows)
            world.now += timedelta(seconds=1 / pace.per_second)
        else:
            world.now += timedelta(seconds=batch.next_due_seconds or 0)
    ends_at = planned.ends_at()
    assert ends_at
    assert abs(world.now - ends_at) <= timedelta(seconds=2 / pace.per_second)
    assert ends_at - NIGHT > timedelta(days=1)


_zones = st.dictionaries(
    st.sampled_from(["", TOKYO, NEW_YORK, "Asia/Kathmandu", "Pacific/Kiritimati", "UTC-03:30"]),
    st.integers(1, 12),
    min_size=1,
)
_windows = st.builds(
    partial(SendingWindow, timezone="Europe/Berlin"),
    days=st.sampled_from(["Mon-Sun", "Mon-Fri", "Tue"]),
    start=st.sampled_from(["00:00", "09:00", "22:00"]),
    end=st.sampled_from(["02:00", "12:00", "24:00"]),
)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "defer", "release", "crash", "wait"]),
        st.integers(1, 9),
        st.integers(0, 14 * 60),
    ),
    max_size=12,
)


@pytest.mark.parametrize("warming", [0, 5])
@settings(
    max_examples=examples(),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(_zones, _windows, _steps)
def test_no_recipient_is_claimed_outside_its_hours_and_none_is_forgotten(
    database: Database,
    warming: int,
    counts: dict[str, int],
    window: SendingWindow,
    steps: list[tuple[str, int, int]],
) -> None:
    """Whatever becomes of messages, runs and clocks; `claim` checks the hours."""
    world = World(database, counts, window, warming=min(warming, sum(counts.values()) // 2))
    released: list[int] = []
    for step, limit, minutes in steps:
        world.now += timedelta(minutes=minutes)
        rows = world.claim(limit, released=released).rows
        released = []
        if step in ("send", "defer"):
            world.settle(rows, defer=step == "defer")
        elif step == "crash":
            with database.write() as transaction:
                world.outbox.release(transaction, world.outbox.in_doubt(transaction))
            world.begin()
        else:
            released = [row.id for row in rows]
    end = world.now + LONG
    while world.now < end:
        batch = world.claim(5, released=released)
        released = []
        world.settle(batch.rows)
        if not batch.rows:
            if batch.next_due_seconds is None:
                break
            world.now += timedelta(seconds=batch.next_due_seconds)
    assert world.states() == {RecipientStatus.SENT: sum(counts.values())}
