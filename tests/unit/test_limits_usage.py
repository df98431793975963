"""Trailing windows hold at the server, whatever the senders and the network do."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import count, pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.limits import (
    Cap,
    Estate,
    Limit,
    OpenStarts,
    Report,
    Rules,
    Usage,
    exchange,
    give_out,
)

LEASE = 30.0
HORIZON = 0.4
WEEK = 604_800.0
POLL_SECONDS = 0.5
"""How often a sender asks again that has to wait for a reply, which may be another sender's."""


@dataclass
class Sender:
    """A holder, with the starts that it was given and its messages in flight."""

    name: str
    starts: list[float] = field(default_factory=list)
    in_flight: int = 0
    replies: list[float] = field(default_factory=list)
    ask_at: float = 0.0
    wake: int = 0
    """The ticket of its next wake-up; other tickets in the queue are stale."""


@dataclass
class World:
    """Senders under the same rules, and a server that notes when each message arrives.

    A message takes `trips[i]` seconds to the server and back; a sender wakes up `late[i]` seconds
    late.
    """

    rules: Rules
    trips: list[tuple[float, float]]
    sessions: int = 10
    late: list[float] = field(default_factory=lambda: [0.0])
    usage: Usage = field(default_factory=Usage)
    now: float = 1_000_000.0
    arrivals: list[float] = field(default_factory=list)

    def send(self, messages: int, names: list[str], *, killed: bool = False) -> None:
        """Send from all senders, until so many messages have arrived; then close, unless killed."""
        senders = [Sender(name) for name in names]
        events: list[tuple[float, int, Sender, bool]] = []
        ticket = count()
        for sender in senders:
            sender.wake = next(ticket)
            heapq.heappush(events, (self.now, sender.wake, sender, False))
        sent = 0
        while events and (sent < messages or any(sender.in_flight for sender in senders)):
            self.now, number, sender, is_reply = heapq.heappop(events)
            if not is_reply and number != sender.wake:
                continue
            if is_reply:
                sender.in_flight -= 1
                sender.replies.append(self.now)
                if not sender.starts:
                    sender.ask_at = self.now
            self._ask(sender)
            while (
                sent < messages
                and sender.in_flight < self.sessions
                and sender.starts
                and sender.starts[0] <= self.now
            ):
                sender.starts.pop(0)
                sender.in_flight += 1
                there, back = self.trips[sent % len(self.trips)]
                sent += 1
                self.arrivals.append(self.now + there)
                reply = (self.now + there + back, next(ticket), sender, True)
                heapq.heappush(events, reply)
            if sent < messages and sender.in_flight < self.sessions:
                wake = sender.starts[0] if sender.starts else sender.ask_at
                wake = max(wake, self.now + 1e-4) + self.late[sent % len(self.late)]
                sender.wake = next(ticket)
                heapq.heappush(events, (wake, sender.wake, sender, False))

        for sender in () if killed else senders:
            self.usage.report(sender.name, 0, self.now, sender.replies, self.rules)

    def _ask(self, sender: Sender) -> None:
        low = not sender.starts or sender.starts[-1] < self.now + HORIZON / 2
        if not low or self.now < sender.ask_at:
            return
        self.usage = Usage.from_json(orjson.loads(orjson.dumps(self.usage.to_json())))
        report = Report(
            sender.name,
            len(sender.starts) + sender.in_flight,
            sender.replies,
            stock=sender.starts,
        )
        under = [(self.usage, self.rules)]
        starts, next_at = exchange(under, report, self.now, self.now + HORIZON, 1_000)
        sender.replies = []
        sender.starts += starts
        sender.ask_at = self.now + POLL_SECONDS if next_at == math.inf else next_at - HORIZON


def most_in_a_window(arrivals: list[float], window: float) -> int:
    """Return the most arrivals in any trailing window (t - window, t]."""
    arrivals = sorted(arrivals)
    return max(
        (i + 1 - bisect_right(arrivals, at - window) for i, at in enumerate(arrivals)), default=0
    )


limit = st.builds(Limit, st.integers(1, 50), st.sampled_from([1.0, 5.0, 60.0]))
second = st.floats(0, 3, allow_nan=False)
trips = st.lists(st.tuples(second, second), min_size=1, max_size=20)
names = st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]])


@given(
    st.lists(limit, min_size=1, max_size=3),
    trips,
    st.integers(1, 10),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=5),
    names,
)
def test_no_trailing_window_ever_holds_more_than_its_limit(
    limits: list[Limit],
    trips: list[tuple[float, float]],
    sessions: int,
    late: list[float],
    names: list[str],
) -> None:
    world = World(Rules(tuple(limits)), trips, sessions, late)
    world.send(100, names)
    for limit in limits:
        assert most_in_a_window(world.arrivals, limit.window_seconds) <= limit.count


@given(st.lists(limit, min_size=1, max_size=2), trips, st.integers(1, 40), st.floats(0, 90))
def test_a_killed_sender_does_not_make_others_exceed_the_limit(
    limits: list[Limit], trips: list[tuple[float, float]], messages: int, pause: float
) -> None:
    world = World(Rules(tuple(limits)), trips)
    world.send(messages, ["killed"], killed=True)
    world.now += pause
    world.send(60, ["heir"])
    for limit in limits:
        assert most_in_a_window(world.arrivals, limit.window_seconds) <= limit.count


@given(limit, limit, trips)
def test_a_limit_changed_while_mail_is_sent_holds_from_then_on(
    before: Limit, after: Limit, trips: list[tuple[float, float]]
) -> None:
    world = World(Rules((before,)), trips)
    world.send(60, ["a"])
    world.rules = Rules((before, after))
    changed = len(world.arrivals)
    world.send(60, ["a"])
    assert most_in_a_window(world.arrivals, before.window_seconds) <= before.count
    assert most_in_a_window(world.arrivals[changed:], after.window_seconds) <= after.count


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, WEEK), st.booleans()), max_size=6),
    trips,
)
def test_no_trailing_week_overflows_over_campaigns_pauses_and_lost_senders(
    count: int, campaigns: list[tuple[int, float, bool]], trips: list[tuple[float, float]]
) -> None:
    world = World(Rules((Limit(count, WEEK),)), trips)
    for number, (messages, pause, is_lost) in enumerate(campaigns):
        world.send(messages, [f"run {number}", f"run {number} elsewhere"], killed=is_lost)
        world.now += pause
    assert most_in_a_window(world.arrivals, WEEK) <= count


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
@pytest.mark.parametrize(
    ("limit", "window", "messages"),
    [
        (1, 60.0, 50),  # one message a minute
        (10, 1.0, 300),
        (500, 60.0, 2_000),
        (3_000, 3_600.0, 4_000),
        (1_000, 1.0, 8_000),
        (5_000, 1.0, 20_000),
        (700, WEEK, 1_000),
    ],
)
def test_a_limit_is_used_to_98_percent_while_there_is_mail(
    limit: int, window: float, messages: int, names: list[str]
) -> None:
    world = World(Rules((Limit(limit, window),)), [(5e-4, 5e-4)], 20, [0.001])
    world.send(messages, names)
    ideal = (messages - 1) * window / limit
    assert ideal / (max(world.arrivals) - min(world.arrivals)) >= 0.98


def test_messages_are_spaced_evenly_rather_than_sent_in_bursts() -> None:
    world = World(Rules((Limit(100, 60.0),)), [(0.0, 0.001)])
    world.send(300, ["a"])
    gaps = [b - a for a, b in pairwise(world.arrivals)]
    assert min(gaps) > 0.5 * 0.6


def test_without_rules_messages_start_at_once() -> None:
    assert give_out([], 7.0, 7.0, 1_000) == ([7.0] * 1_000, 7.0)


def test_of_several_rules_the_lowest_binds_and_none_is_exceeded() -> None:
    usages = [(Usage(), Rules((Limit(10, 1.0),))), (Usage(), Rules((Limit(3, 1.0),)))]
    starts, _ = give_out(usages, 100.0, 100.9, 50)
    assert len(starts) == 3


def test_two_connections_use_their_campaigns_limit_without_loss() -> None:
    """Each connection asks ahead for its own share, and takes no starts from the other."""
    total = Usage()
    shares = {"a": (Usage(), Rules((Limit(70, 1.0),))), "b": (Usage(), Rules((Limit(30, 1.0),)))}
    given = {"a": 0, "b": 0}
    for step in range(100):
        now = 50.0 + step * 0.1
        for name, share in shares.items():
            starts, _ = give_out([share, (total, Rules((Limit(100, 1.0),)))], now, now + 0.25, 99)
            given[name] += len(starts)
            for usage, rules in (share, (total, Rules((Limit(100, 1.0),)))):
                usage.report(name, 0, now + LEASE, starts, rules)  # answered at once
                usage.expire(now, rules)
    assert given["a"] / 10.1 == pytest.approx(70, rel=0.03)
    assert given["b"] / 10.1 == pytest.approx(30, rel=0.03)


def test_a_share_does_not_wait_for_the_starts_that_another_share_was_given() -> None:
    total, whole = Usage(), Rules((Limit(1_000, 1.0),))
    shares = {"a": (Usage(), Rules((Limit(700, 1.0),))), "b": (Usage(), Rules((Limit(300, 1.0),)))}
    for name, share in shares.items():
        starts, _ = exchange([share, (total, whole)], Report(name, 0, ()), 50.0, 50.4, 5_000)
        assert starts[0] == 50.0
        assert len(starts) == pytest.approx(0.4 * share[1].limits[0].count, rel=0.02)


def test_an_open_start_counts_until_its_reply() -> None:
    usage, rules = Usage(), Rules((Limit(1, 1.0),))
    starts, next_at = give_out([(usage, rules)], 100.0, 110.0, 10)
    assert (len(starts), next_at) == (1, math.inf)
    usage.report("a", 1, 130.0, (), rules)
    assert give_out([(usage, rules)], 120.0, 130.0, 10) == ([], math.inf)
    usage.report("a", 0, 150.0, [120.0], rules)
    starts, _ = give_out([(usage, rules)], 120.0, 130.0, 10)
    assert starts == [pytest.approx(121.0, abs=0.01)]


HUNDRED = Rules((Limit(100, 60.0),))


def holding(answered: int | None) -> Usage:
    """Return a usage whose dead holder was given 30 starts, after so many replies in all."""
    usage = Usage()
    starts, _ = give_out([(usage, HUNDRED)], 0.0, 20.0, 30)
    usage.report("dead", len(starts), 30.0, (), HUNDRED, answered)
    return usage


def test_of_a_dead_holders_starts_only_those_that_it_used_count() -> None:
    """It had started 12 since its last report: 10 are answered, 2 are in flight."""
    usage = holding(answered=5)
    usage.estates.append(Estate("dead", 2, 15))
    usage = Usage.from_json(usage.to_json())
    usage.settle(1.0, HUNDRED)
    assert usage.open == {"dead": OpenStarts(2, 30.0, 15)}
    assert usage.replied[60.0].total == 10
    assert usage.next_at == pytest.approx(12 * 0.603, rel=1e-3)
    usage.estates.append(Estate("dead", 2, 15))
    usage.settle(2.0, HUNDRED)  # a repeated report changes nothing
    assert (usage.open_starts, usage.replied[60.0].total) == (2, 10)
    usage.expire(31.0, HUNDRED)
    assert (usage.open_starts, usage.replied[60.0].total) == (0, 12)


@pytest.mark.parametrize(
    ("answered", "estate"),
    [
        (None, Estate("dead", 0, 0)),  # a holder of an earlier version
        (5, Estate("another", 0, 5)),
        (5, Estate("dead", 0, 4)),  # fewer replies than were reported
        (5, Estate("dead", 20, 16)),  # more messages than starts
    ],
)
def test_without_a_consistent_account_all_starts_of_a_dead_holder_count(
    answered: int | None, estate: Estate
) -> None:
    usage = holding(answered)
    usage.estates.append(estate)
    usage.settle(1.0, HUNDRED)
    assert (usage.open_starts, usage.replied) == (30, {})


def test_returned_starts_can_be_used_at_once() -> None:
    usage, rules = Usage(), Rules((Limit(100, 60.0),))
    starts, _ = give_out([(usage, rules)], 0.0, 20.0, 30)
    usage.report("a", len(starts), 30.0, (), rules)
    usage.report("a", 0, 30.0, (), rules)
    assert give_out([(usage, rules)], 0.1, 20.0, 1)[0] == [pytest.approx(0.1)]


def test_each_day_has_a_cap_of_its_own() -> None:
    day = [Cap(0.0, 86_400.0, 3), Cap(86_400.0, 172_800.0, 5)]
    usage, rules = Usage(), Rules(caps=tuple(day))
    starts, _ = give_out([(usage, rules)], 10.0, 86_000.0, 99)
    assert len(starts) == 3
    usage.report("a", 0, 100.0, [20.0, 21.0, 22.0], rules)
    starts, next_at = give_out([(usage, rules)], 30.0, 86_000.0, 99)
    assert (starts, next_at) == ([], 86_400.0)
    usage.expire(86_400.0, rules)
    starts, next_at = give_out([(usage, rules)], 86_400.0, 172_000.0, 99)
    assert (len(starts), next_at) == (5, math.inf)  # earlier, if one of them is returned


@pytest.mark.parametrize("window", [86_400.0, WEEK])
def test_the_stored_usage_stays_bounded_under_a_large_limit(window: float) -> None:
    usage, rules = Usage(), Rules((Limit(10_000_000, window),))
    for i in range(2_000):
        now = i * window / 864
        usage.report("a", 0, now + LEASE, [now] * 5, rules)
        usage.expire(now, rules)
    assert len(usage.replied[window]) <= 502


@pytest.mark.parametrize(
    ("counts", "window"),
    [
        ((7, 3), 60.0),  # 70/30 of ten a minute
        ((21, 9), 60.0),
        ((7_000, 3_000), 86_400.0),
        ((11, 6, 3), 60.0),
    ],
)
def test_shares_of_a_slow_limit_lose_nothing_by_waiting_for_each_other(
    counts: tuple[int, ...], window: float
) -> None:
    whole = (Usage(), Rules((Limit(sum(counts), window),)))
    shares = [(Usage(), Rules((Limit(count_, window),))) for count_ in counts]
    began = 1_000_000.0
    ask_at = [began] * len(counts)
    starts: list[list[float]] = [[] for _ in counts]
    known = [0] * len(counts)
    """By sender: the number of starts whose reply, which comes at once, has been reported."""
    while (now := min(ask_at)) < began + 300 * window / sum(counts):
        i = ask_at.index(now)
        gone = bisect_right(starts[i], now)
        open_ = len(starts[i]) - gone
        for usage, rules in (whole, shares[i]):
            usage.report(str(i), open_, now + LEASE, starts[i][known[i] : gone], rules)
            usage.expire(now, rules)
        moments, next_at = give_out([whole, shares[i]], now, now + HORIZON, 1_000)
        for usage, rules in (whole, shares[i]):
            usage.report(str(i), open_ + len(moments), now + LEASE, (), rules)
        starts[i] += moments
        known[i] = gone
        ask_at[i] = max(next_at - HORIZON, now + 0.01)
    for begun, count_ in zip(starts, counts, strict=True):
        assert (len(begun) - 1) * window / count_ / (begun[-1] - begun[0]) >= 0.98
        assert most_in_a_window(begun, window) <= count_
