"""Whether refusals are about their recipients, or the connection refuses everybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.delivery.evidence import at_most
from mailsluice.delivery.refusal_weights import DEAD, ODDS, Experience, own_rate, rate_after
from mailsluice.delivery.suspects import Ruling, Suspects

NONE = Experience()


class Connection:
    """One session, one message after the other: R is refused, S in words about the connection."""

    def __init__(self, before: Experience = NONE) -> None:
        self.suspects: Suspects[int] = Suspects()
        self.before = before
        self.number = 0
        self.failed: list[int] = []

    def answers(self, text: str) -> Ruling:
        """Land messages, one a letter, until the connection is convicted."""
        ruling = Ruling.OPEN
        for letter in text:
            number, self.number = self.number, self.number + 1
            if letter in "RS":
                is_spoken = letter == "S"
                self.suspects.refused(number, number, self.number, self.before, is_spoken=is_spoken)
            elif letter == "A" and self.suspects:
                self.suspects.accepted(number)
            ruling = self.suspects.judge(self.number)
            if ruling is Ruling.CONVICTED:
                break
            self.failed += self.suspects.acquitted()
        return ruling


@pytest.mark.parametrize(
    ("text", "ruling"),
    [
        ("R" * 17, Ruling.OPEN),
        ("R" * 18, Ruling.CONVICTED),
        ("A" * 50 + "R" * 18, Ruling.CONVICTED),  # regardless of earlier acceptances
        ("RRRA" * 50, Ruling.OPEN),  # many addresses are dead, but the connection works
        ("R" * 30 + "A", Ruling.CONVICTED),
        (("R" * 12 + "A") * 8, Ruling.CONVICTED),  # a limit that lets one through now and then
        ("SS", Ruling.OPEN),
        ("SSS", Ruling.CONVICTED),
        ("SAAAAAAA" * 50, Ruling.OPEN),  # some servers say it about an address
        ("SA" * 20, Ruling.CONVICTED),  # but not about every other one
        ("R" * 12 + "S", Ruling.CONVICTED),  # both kinds count
        ("R" * 9 + "x" * 20 + "R" * 9, Ruling.CONVICTED),  # a lost session says nothing
    ],
)
def test_refusals_with_nobody_accepted_between_convict(text: str, ruling: Ruling) -> None:
    assert Connection().answers(text) is ruling


def test_a_connection_that_refused_more_before_takes_more_refusals_to_convict() -> None:
    assert Connection(Experience(40_000, 60_000)).answers("R" * 41) is Ruling.OPEN
    assert Connection(Experience(40_000, 60_000)).answers("R" * 42) is Ruling.CONVICTED
    assert Connection(Experience(0, 100_000)).answers("R" * 500) is Ruling.CONVICTED


# before, replies; how many are seen until it is convicted, or None
MANY = [
    (Experience(100, 0), "RA" * 40, 29),
    (Experience(1_000, 20), "RA" * 40, 25),
    (Experience(1_000, 20), "RRA" * 40, 16),
    (Experience(1_000, 20), "R" * 40, 9),
    (Experience(100, 0), "RAAA" * 40, None),  # more than before, but less than one half
    (Experience(900, 100), "RAAAA" * 40, None),
    (Experience(20, 0), "RA" * 40, None),  # it would take 200
    (Experience(19, 0), "RA" * 400, None),  # too little experience
    (Experience(60, 40), "RA" * 400, None),  # hardly more than before
]


@pytest.mark.parametrize(("before", "text", "seen"), MANY)
def test_a_connection_that_refuses_far_more_than_before_is_convicted(
    before: Experience, text: str, seen: int | None
) -> None:
    connection = Connection(before)
    ruling = connection.answers(text)
    assert ruling is (Ruling.OPEN if seen is None else Ruling.CONVICTED)
    if seen is not None:
        assert connection.number == seen
        assert connection.failed == []
        assert connection.suspects.among == seen


def test_refusals_during_a_doubt_are_not_experience() -> None:
    """Else the connection would get used to it, slowly enough."""
    connection = Connection(Experience(300, 3))
    assert connection.answers("RAAR" + "RAA" * 100) is Ruling.CONVICTED


def test_a_list_that_ends_in_such_a_doubt_leaves_its_suspects_open() -> None:
    connection = Connection(Experience(100, 0))
    connection.answers("RA" * 5)
    assert connection.suspects.may_be_chance(105, 0, are_plain=True)
    connection.answers("RA" * 5)
    assert not connection.suspects.may_be_chance(110, 0, are_plain=True)


@pytest.mark.parametrize(("is_final", "least"), [(False, 0.0), (True, DEAD)])
def test_recipients_tried_later_or_deferred_before_do_not_count_in_the_second_test(
    is_final: bool, least: float
) -> None:
    suspects: Suspects[int] = Suspects()
    for number in range(0, 400, 2):
        before = Experience(1_000, 0)
        suspects.refused(number, number, number + 1, before, is_final=is_final, least=least)
        suspects.accepted(number + 1)
        assert suspects.judge(number + 2) is Ruling.OPEN


@given(st.integers(0, 2_000), st.integers(1, 2_000))
def test_the_upper_bound_of_a_rate_is_above_the_observed_rate(times: int, among: int) -> None:
    times = min(times, among)
    bound = at_most(times, among)
    assert times / among <= bound <= 1
    if not times:  # exact
        assert (1 - bound) ** among == pytest.approx(0.001, rel=0.01, abs=0.0005) or bound > 0.99
    assert at_most(times, 2 * among) <= bound


def test_a_suspect_is_acquitted_by_a_later_message_that_is_accepted() -> None:
    connection = Connection()
    connection.answers("ARRA")
    assert connection.failed == [1, 2]
    assert not connection.suspects


def test_one_acceptance_after_many_refusals_acquits_no_suspect() -> None:
    connection = Connection()
    connection.answers("RRRRRRRA")
    assert connection.failed == []
    connection.answers("A")
    assert connection.failed == [0, 1, 2, 3, 4, 5, 6]


def test_acceptances_of_messages_in_flight_at_a_limit_acquit_no_suspect() -> None:
    """Messages 0 and 2 were in flight when 1 was refused; their acceptances make the odds even."""
    suspects: Suspects[str] = Suspects()
    suspects.refused("limit", 1, started=3, experience=NONE)
    assert suspects.judge(oldest=0) is Ruling.OPEN
    suspects.accepted(0)
    suspects.accepted(2)
    suspects.judge(oldest=3)
    assert suspects.acquitted() == []
    suspects.accepted(3)
    suspects.judge(oldest=4)
    assert suspects.acquitted() == ["limit"]


def test_refusals_that_come_sooner_than_acceptances_do_not_look_like_more() -> None:
    """A hundred sessions: every third recipient is dead, the acceptances take longer."""
    suspects: Suspects[int] = Suspects()
    for number in range(3, 100, 3):
        suspects.refused(number, number, started=100, experience=NONE)
        assert suspects.judge(oldest=0) is Ruling.OPEN
    assert suspects.would_convict  # no more are started until they are answered
    for number in set(range(100)) - set(range(3, 100, 3)):
        suspects.accepted(number)
    assert suspects.judge(oldest=0) is Ruling.OPEN
    assert not suspects.would_convict


def test_one_message_without_a_reply_does_not_delay_the_judgement_for_ever() -> None:
    suspects: Suspects[int] = Suspects()
    rulings = []
    for number in range(1, 2_100):
        suspects.refused(number, number, started=number + 1, experience=NONE)
        rulings.append(suspects.judge(oldest=0))
    assert Ruling.CONVICTED in rulings


# accepted and refused so far, how many at the end, plain words; whether that may be chance
LAST = [
    (100, 0, 1, False, True),
    (1_000, 0, 1, False, True),
    (1_000, 10, 2, False, True),
    (1_000, 0, 2, False, False),  # one in a million
    (70, 30, 7, False, True),
    (70, 30, 8, False, False),
    (1, 0, 1, False, True),
    (0, 0, 1, False, False),  # the server may say it to everybody
    (0, 0, 3, True, True),
    (0, 0, 4, True, False),
]


@pytest.mark.parametrize(("accepted", "refused", "last", "are_plain", "expected"), LAST)
def test_a_few_refusals_at_the_end_are_chance(
    accepted: int, refused: int, last: int, are_plain: bool, expected: bool
) -> None:
    connection = Connection()
    connection.answers("R" * last)
    assert connection.suspects.may_be_chance(accepted, refused, are_plain=are_plain) is expected


# how many at the end that were put off before, plain words; whether that may be chance
RETRIED = [
    (2, False, True),
    (7, False, True),
    (8, False, False),  # vague words: an account over a limit as well
    (80, True, True),
    (90, True, False),
]


@pytest.mark.parametrize(("last", "is_plain", "expected"), RETRIED)
def test_recipients_deferred_before_are_refused_more_often(
    last: int, is_plain: bool, expected: bool
) -> None:
    suspects: Suspects[int] = Suspects()
    for number in range(last):
        least = rate_after(1, is_plain=is_plain)
        suspects.refused(number, number, number + 1, NONE, least=least)
        assert suspects.judge(number + 1) is Ruling.OPEN
    assert suspects.may_be_chance(10_000, 0, are_plain=is_plain) is expected


def test_refusals_about_the_connection_at_the_end_are_not_chance() -> None:
    connection = Connection()
    connection.answers("S")
    assert not connection.suspects.may_be_chance(1_000, 0, are_plain=True)


@given(st.text("ARS", max_size=60))
def test_each_suspect_is_returned_once_and_in_order(text: str) -> None:
    connection = Connection()
    connection.answers(text)
    left = connection.suspects.clear()
    together = [*connection.failed, *left]
    assert together == sorted(together)
    seen = text[: connection.number]
    assert together == [at for at, letter in enumerate(seen) if letter != "A"]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_rate_without_experience_is_that_of_a_bad_list(accepted: int, refused: int) -> None:
    assert own_rate(0, 0) == pytest.approx(DEAD)
    assert 0 < own_rate(accepted, refused) < 1
    assert ODDS >= 1e9
