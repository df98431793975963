"""Limits hold, and mail continues, whatever happens to the database's clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsluice.limits import (
    HOLDER_SECONDS,
    Cap,
    DatabaseClock,
    Limit,
    Report,
    Rules,
    Timekeeper,
    Timeline,
    Usage,
    exchange,
    give_out,
)
from mailsluice.limits.clock import RESOLUTION_SECONDS
from tests.unit.test_limits_usage import most_in_a_window

DAY = 86_400.0
HORIZON = 0.4
DRIFT = 5e-4
"""Seconds a second by which two clocks may drift apart."""


@dataclass
class Database:
    """The state that all processes share: a clock that may be set, and the usage of a limit."""

    rules: Rules
    true: float = 10_000.0
    """True time, in seconds."""
    ahead: float = 1.7e9
    """Seconds by which the database's clock is ahead of true time."""
    usage: Usage = field(default_factory=Usage)

    @property
    def now(self) -> float:
        return self.true + self.ahead


@dataclass
class Process:
    """A process that asks for starts and uses them; messages take no time."""

    database: Database
    name: str = "one"
    paused: float = 0.0
    """Seconds for which its own clock stood still."""
    machine: str = ""
    arrivals: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = DatabaseClock()
        self.keeper = Timekeeper(self.machine)
        self.starts: list[float] = []

    @property
    def local(self) -> float:
        return self.database.true - self.paused

    def send(self, most: int = 1_000) -> int:
        """Ask once, and send all that may start before the horizon; return the number sent."""
        database = self.database
        usage = Usage.from_json(orjson.loads(orjson.dumps(database.usage.to_json())))
        now = database.now
        self.clock.seen(now, self.local, self.local)
        self.keeper.look("red", usage.timeline, now, self.local, self.local)
        used = [start for start in self.starts if start <= self.local]
        self.starts = self.starts[len(used) :]
        replies = [min(now, self.clock.to_database(start)) for start in used]
        stock = [self.clock.since(start) for start in self.starts]
        report = Report(self.name, len(self.starts), replies, stock=stock)
        moments, _ = exchange([(usage, database.rules)], report, now, now + HORIZON, most)
        database.usage = usage
        given = [self.clock.to_local(moment) for moment in moments]
        self.starts += given
        self.arrivals += [start + self.paused for start in given]
        return len(given)

    def run(self, seconds: float, every: float = HORIZON) -> int:
        """Send for so many seconds; return the number of messages."""
        sent, end = 0, self.database.true + seconds
        while self.database.true < end:
            sent += self.send()
            self.database.true += every
        return sent


jump = st.floats(-2 * DAY, 2 * DAY, allow_nan=False) | st.floats(-2.0, 2.0)
limit = st.builds(Limit, st.integers(1, 40), st.sampled_from([1.0, 5.0, 60.0]))


@given(
    st.lists(limit, min_size=1, max_size=2),
    st.lists(st.tuples(jump, st.integers(1, 30), st.floats(0.01, 3.0)), max_size=12),
)
def test_no_window_overflows_in_true_time_however_often_the_clock_is_set(
    limits: list[Limit], jumps: Sequence[tuple[float, int, float]]
) -> None:
    process = Process(Database(Rules(tuple(limits))))
    for seconds, asks, pause in [*jumps, (0.0, 30, 0.1)]:
        process.database.ahead += seconds
        for _ in range(asks):
            process.send()
            process.database.true += pause
    for limit in limits:
        assert most_in_a_window(process.arrivals, limit.window_seconds) <= limit.count


@given(
    limit,
    st.lists(st.tuples(jump, st.lists(st.booleans(), max_size=20), st.floats(0.01, 1.0))),
)
@example(Limit(1, 5.0), [(-1.0, [True] * 3, 1.0), (1.0, [False], 0.5)])  # nothing confirmed yet
@example(  # a measure that spans the jump there and back has wide bounds
    Limit(13, 1.0), [(-1.0, [False, True, True, True, True], 0.5), (1.0, [False], 1.0)]
)
def test_no_window_overflows_when_several_processes_share_it(
    limit: Limit, jumps: Sequence[tuple[float, list[bool], float]]
) -> None:
    """That holds whichever process reads the clock first after a jump."""
    database = Database(Rules((limit,)))
    processes = [Process(database, "one"), Process(database, "two")]
    for process in processes:
        process.send(0)
    for seconds, turns, pause in [*jumps, (0.0, [True, False] * 15, 0.1)]:
        database.ahead += seconds
        for turn in turns:
            processes[turn].send()
            database.true += pause
    together = [*processes[0].arrivals, *processes[1].arrivals]
    assert most_in_a_window(together, limit.window_seconds) <= limit.count


whole_seconds = st.integers(-5, 5) | st.integers(-9_999, 9_999)


@given(
    st.lists(
        st.tuples(whole_seconds, st.integers(0, 2), st.sampled_from([0.0, 4e-4, 0.1, 0.4, 1.0])),
        max_size=15,
    ),
    st.sampled_from([0.0, 3e-4, 7e-4]),
)
@example([(1, 0, 1.0), (-1, 1, 0.5), (1, 0, 1.0)], 0.0)  # a fall after a correction
def test_steady_time_gains_nothing_on_true_time_however_often_the_clock_is_set(
    jumps: list[tuple[int, int, float]], fraction: float
) -> None:
    """Readings are cut to whole milliseconds. A jump has the process that looks next, and when."""
    keepers, timeline = [Timekeeper(), Timekeeper(), Timekeeper()], Timeline()
    true, ahead, least_ahead = 1_000.0 + fraction, 0, math.inf
    for keeper in keepers:
        keeper.look("red", timeline, 1_000.0, true, true)
    for seconds, turn, pause in [*jumps, (0, 0, 0.0)]:
        ahead += seconds
        true += pause
        keepers[turn].look("red", timeline, math.floor(true * 1e3) / 1e3 + ahead, true, true)
        assert timeline.look is not None
        gained = timeline.look.moment - true * (1 + DRIFT)
        least_ahead = min(least_ahead, gained)
        assert gained - least_ahead <= RESOLUTION_SECONDS * 1.01


def test_a_clock_that_is_read_in_whole_milliseconds_is_not_set() -> None:
    keepers, timeline = [Timekeeper(), Timekeeper()], Timeline()
    for number in range(1_000):
        true = 1_000.0 + number * 0.0137
        keepers[number % 2].look("red", timeline, math.floor(true * 1e3) / 1e3, true, true)
    assert (timeline.set_by, timeline.fallen_by, timeline.fallen_at_most) == (0.0, 0.0, 0.0)


def test_processes_agree_on_a_jump_at_once() -> None:
    """A correction by one process is no jump to the other, which would correct it in turn."""
    database = Database(Rules((Limit(10, 60.0),)))
    processes = [Process(database), Process(database, "two")]
    for seconds in [0.0, DAY, -DAY, 2.0]:
        database.ahead += seconds
        processes[0].run(5.0)
        set_by = database.usage.timeline.set_by
        for process in processes * 20:
            process.run(0.4)
        assert database.usage.timeline.set_by == set_by


@given(limit, st.lists(jump, min_size=1, max_size=4), st.booleans())
def test_after_a_jump_mail_waits_at_most_one_window(
    limit: Limit, jumps: list[float], is_restarted: bool
) -> None:
    process = Process(Database(Rules((limit,))))
    every = limit.window_seconds / 20
    process.run(2 * limit.window_seconds, every)
    for seconds in jumps:
        process.database.ahead += seconds
        if is_restarted:
            process = Process(process.database, f"after {seconds}")
        process.send()
    # A window, and the lease of the open starts of the process before.
    wait = limit.window_seconds + HOLDER_SECONDS * is_restarted
    assert process.run(1.02 * wait + 1.0, every) > 0


# Seconds by which the database's clock is set, under a limit of 1,500 an hour.
@pytest.mark.parametrize("seconds", [-DAY, -7_200.0, -1.5, 0.0, 1.5, 7_200.0, DAY])
def test_a_jump_does_not_change_the_pace(seconds: float) -> None:
    process = Process(Database(Rules((Limit(1_500, 3_600.0),))))
    before = process.run(600.0, every=2.0)
    process.database.ahead += seconds
    after = process.run(600.0, every=2.0)
    process.database.ahead -= seconds  # somebody corrects the clock
    again = process.run(600.0, every=2.0)
    assert before == pytest.approx(250, abs=3)
    assert [after, again] == pytest.approx([before, before], abs=3)


def test_a_jump_forward_does_not_free_the_limit() -> None:
    process = Process(Database(Rules((Limit(20, 3_600.0), Limit(20, 1.0)))))
    assert process.run(3_600.0, every=5.0) == 20
    process.database.ahead += 7_200.0
    assert process.run(60.0, every=5.0) <= 1


def test_all_processes_adopt_a_jump_that_one_has_noticed() -> None:
    database = Database(Rules((Limit(10, 60.0),)))
    first, second = Process(database), Process(database, "two")
    first.run(60.0)
    second.send()
    database.ahead += DAY
    first.send()  # notices the jump, for both
    assert first.run(10.0) + second.run(10.0) <= 4
    together = [*first.arrivals, *second.arrivals]
    assert most_in_a_window(together, 60.0) <= 10


def test_a_process_that_starts_after_a_jump_does_not_overrule_the_others() -> None:
    database = Database(Rules((Limit(10, 60.0),)))
    first = Process(database)
    first.run(60.0)
    database.ahead += DAY
    Process(database, "new").send(0)
    assert first.run(1.0) <= 1


def test_a_process_that_starts_on_the_same_machine_notices_the_jump() -> None:
    database = Database(Rules((Limit(10, 60.0),)))
    first = Process(database, machine="boot")
    first.run(60.0)
    first.send(0)
    database.ahead += DAY
    assert Process(database, "new", machine="boot").send() <= 1


def test_a_paused_process_adopts_the_time_of_the_others() -> None:
    database = Database(Rules((Limit(10, 60.0),)))
    paused, other = Process(database), Process(database, "two")
    paused.run(10.0)
    other.send()
    paused.paused += 300.0
    database.true += 300.0
    other.send()
    other.send()
    set_by = database.usage.timeline.set_by
    paused.send()
    assert database.usage.timeline.set_by == set_by


def test_steady_time_never_falls_behind_a_confirmed_moment() -> None:
    keeper, timeline = Timekeeper(), Timeline()
    assert keeper.look("red", timeline, 1_000.0, 1.0, 1.0) == 0.0
    assert timeline.confirmed_at == -math.inf  # a first reading confirms nothing
    keeper.look("red", timeline, 1_001.0, 2.0, 2.0)
    keeper.look("red", timeline, 401.0, 3.0, 3.0)
    assert timeline.set_by == pytest.approx(-600.0, abs=RESOLUTION_SECONDS)
    assert timeline.confirmed_at == pytest.approx(1_001.0, abs=RESOLUTION_SECONDS)
    assert Timeline.from_json(orjson.loads(orjson.dumps(timeline.to_json()))) == timeline


def test_repeated_small_corrections_do_not_move_replies() -> None:
    """Replies are kept in steps of a window, and a correction must not round them up again."""
    database = Database(Rules((Limit(100, DAY),)))
    process = Process(database)
    process.send(1)
    for _ in range(1_000):
        database.true += 1.0
        database.ahead += 0.01
        process.send(0)
    assert len(database.usage.replied[DAY]) == 1
    left = database.usage.replied[DAY].latest + database.usage.set_by
    assert left == pytest.approx(10_000.0 + 1.7e9 + 10, abs=DAY / 200)


def test_usage_stored_before_steady_time_existed_does_not_block_a_limit() -> None:
    """The stored replies are a day ahead of a clock that was set back since."""
    stored = {
        "next_at": 1_000_000.0 + DAY,
        "open": {"dead": [3, 1_000_030.0 + DAY]},
        "replied": [[60.0, [[int((1_000_000.0 + DAY) / 0.24), 10]]]],
        "capped": [],
    }
    database = Database(Rules((Limit(10, 60.0),)), true=1_000_000.0, ahead=0.0)
    database.usage = Usage.from_json(stored)
    assert Process(database).run(100.0) > 0


def test_a_used_up_cap_stays_so_when_the_clock_returns_to_its_day() -> None:
    today, tomorrow = Cap(0.0, DAY, 2), Cap(DAY, 2 * DAY, 2)
    usage, rules = Usage(), Rules(caps=(today, tomorrow))
    usage.report("a", 0, 100.0, [50.0, 60.0], rules)
    usage.expire(DAY + 1.0, rules)
    usage.expire(100.0, rules)  # somebody corrected the clock
    starts, next_at = give_out([(usage, rules)], 100.0, 1_000.0, 9)
    assert (starts, next_at) == ([], DAY)
