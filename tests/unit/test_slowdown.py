"""How much a connection slows down after its server has asked for less mail."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.delivery.slowdown import Slowdown


def send(slowdown: Slowdown, start: float, end: float, per_second: float = 100) -> int:
    """Send as fast as it lets us, at most so fast; gives how many went."""
    now, sent = start, 0
    while True:
        now = max(now, slowdown.next_at)
        if now >= end:
            return sent
        slowdown.started(now)
        sent += 1
        now += 1 / per_second


def test_without_a_throttling_reply_nothing_waits() -> None:
    slowdown = Slowdown()
    assert send(slowdown, 0, 5, 100) == pytest.approx(500, abs=1)


def test_a_throttling_reply_halves_the_recent_pace() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    assert slowdown.throttled(10) == pytest.approx(50, rel=0.02)
    assert send(slowdown, 10, 12, 100) == pytest.approx(100, rel=0.06)


def test_an_idle_hour_does_not_count_in_the_recent_pace() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    send(slowdown, 3_600, 3_602, 100)
    assert slowdown.throttled(3_602) == pytest.approx(50, rel=0.02)


def test_a_limit_below_the_recent_pace_is_halved_instead() -> None:
    slowdown = Slowdown(limit_per_second=10)
    send(slowdown, 0, 1, 1_000)  # a burst at the start
    assert slowdown.throttled(1) == pytest.approx(5)


def test_replies_to_messages_in_flight_do_not_halve_the_pace_again() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    assert slowdown.throttled(10)
    assert [slowdown.throttled(10 + i / 100) for i in range(20)] == [None] * 20


def test_a_server_that_keeps_asking_is_given_less_and_less_but_never_nothing() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    paces: list[float | None] = []
    for second in range(10, 40):
        sent = send(slowdown, second, second + 1)
        paces += [slowdown.throttled(second + 1) for _ in range(sent)]
    known = [pace for pace in paces if pace]
    assert known == sorted(known, reverse=True)
    assert known[-1] == pytest.approx(0.1, rel=0.1)


def test_a_few_throttled_messages_among_many_do_not_halve_the_pace_again() -> None:
    """One greylisted address in a hundred is no reason to slow down further."""
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    assert slowdown.throttled(10)
    send(slowdown, 10, 15)
    assert slowdown.throttled(15) is None


def test_the_pace_doubles_in_half_a_minute_until_it_is_normal() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    slowdown.throttled(10)
    assert send(slowdown, 24.5, 25.5) == pytest.approx(50 * math.sqrt(2), rel=0.1)
    send(slowdown, 26, 41, 100)
    assert slowdown.next_at == -math.inf
    assert send(slowdown, 41, 42, 1_000) == pytest.approx(1_000, abs=1)


def test_a_reply_before_any_message_says_nothing_about_the_pace() -> None:
    slowdown = Slowdown()
    assert slowdown.throttled(0) is None
    assert slowdown.next_at == -math.inf


def test_a_supposed_pace_counts_until_one_is_measured() -> None:
    slowdown = Slowdown()
    slowdown.suppose(40)
    assert slowdown.throttled(10) == pytest.approx(20)
    assert send(slowdown, 10, 12, 100) == pytest.approx(40, rel=0.1)
    send(slowdown, 12, 100, 100)
    slowdown.suppose(40)
    assert slowdown.throttled(100) == pytest.approx(50, rel=0.02)


def test_rests_double_up_to_a_quarter_of_an_hour_unless_the_first_is_longer() -> None:
    slowdown = Slowdown()
    assert [slowdown.rest(at, 300.0) for at in (0, 10, 300, 900, 1_800)] == [
        300,
        None,
        600,
        900,
        900,
    ]
    patient = Slowdown()
    assert [patient.rest(at, 1_800.0) for at in (0, 1_800)] == [1_800, 1_800]
    patient.accepted()
    assert patient.rest(4_000, 60.0) == 60


def test_the_pace_recovers_after_a_rest_not_during_it() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    slowdown.throttled(10)
    slowdown.rest(10, 1_800)
    assert send(slowdown, 10, 1_811, 100) == pytest.approx(50, rel=0.1)


def test_a_night_without_mail_leaves_the_normal_pace() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    slowdown.throttled(10)
    night = 10 + 12 * 3_600
    assert slowdown.per_second(night) == pytest.approx(100, rel=0.02)
    assert slowdown.throttled(night) == pytest.approx(50, rel=0.02)


def test_since_when_less_mail_is_sent() -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, 100)
    assert slowdown.since is None
    slowdown.throttled(10)
    slowdown.rest(12, 2.0)
    assert slowdown.since == 10
    slowdown.accepted()
    assert slowdown.since == 10  # still slower than before
    send(slowdown, 14, 60, 100)
    assert slowdown.since is None


@given(
    st.floats(0.5, 500),
    st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 3)), max_size=12),
)
def test_the_pace_never_exceeds_the_one_before(
    per_second: float, events: list[tuple[float, int]]
) -> None:
    slowdown = Slowdown()
    send(slowdown, 0, 10, per_second)
    now = 10.0
    for seconds, throttles in events:
        for _ in range(throttles):
            pace = slowdown.throttled(now)
            assert pace is None or 0 < pace <= per_second * 1.2 + 0.1
        assert send(slowdown, now, now + seconds, per_second) <= seconds * per_second + 1.01
        now += seconds
