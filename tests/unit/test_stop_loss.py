"""Which providers and connections a stop-loss holds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.stop_loss import Figures, Judge, Limits, Measure, Unit, judge_canary
from mailsluice.stop_loss.sequential_test import LEAST, RateTest, is_above, is_above_at_once

LIMITS = Limits(bounced=0.05, blocked=0.02, complained=0.003)
GOOD = Figures(sent=2_000, refused=20)
BAD = Figures(sent=1_500, refused=500)
GOOGLE, MICROSOFT, YAHOO, OTHERS = (Unit("red", number) for number in range(1, 5))


def held(figures: Mapping[Unit, Figures], *, already: tuple[Unit, ...] = ()) -> list[Unit]:
    judge = Judge(LIMITS, {}, already)
    return [finding.unit for finding in judge.look(figures)]


@pytest.mark.parametrize(
    ("figures", "measure"),
    [
        (Figures(sent=900, refused=100), Measure.BOUNCED),
        (Figures(sent=1_000, bounced_later=100), Measure.BOUNCED),
        (Figures(sent=900, put_off=100, blocked=100), Measure.BLOCKED),
        (Figures(sent=1_000, blocked_later=100), Measure.BLOCKED),
        (Figures(sent=10_000, complained=100), Measure.COMPLAINED),
    ],
)
def test_each_measure_has_its_own_limit(figures: Figures, measure: Measure) -> None:
    (finding,) = Judge(LIMITS, {}).look({GOOGLE: figures})
    assert (finding.unit, finding.measure) == (GOOGLE, measure)
    assert Judge(Limits(), {}).look({GOOGLE: figures}) == []


def test_the_provider_that_is_bad_is_held_and_no_other() -> None:
    assert held({GOOGLE: GOOD, MICROSOFT: BAD, Unit("green", 2): GOOD}) == [MICROSOFT]


def test_where_several_providers_are_bad_their_connection_is_held() -> None:
    units = {GOOGLE: BAD, MICROSOFT: BAD, YAHOO: BAD, Unit("green", 1): GOOD}
    assert held(units) == [Unit("red")]
    assert held({YAHOO: BAD, OTHERS: GOOD}, already=(GOOGLE, MICROSOFT)) == [Unit("red")]
    assert held({YAHOO: BAD, OTHERS: GOOD}, already=(GOOGLE,)) == [YAHOO]


def test_many_small_providers_prove_together_what_none_proves_alone() -> None:
    small = Figures(sent=9, refused=1)
    assert held({Unit("red", number): small for number in range(200)}) == [Unit("red")]
    assert held({Unit("red", number): small for number in range(3)}) == []


def test_a_connection_is_not_held_for_what_one_provider_explains() -> None:
    judge = Judge(LIMITS, {})
    parts = {Unit("red", number): Figures(sent=100, refused=1) for number in range(1, 30)}
    found = judge.look({**parts, GOOGLE: Figures(sent=100, refused=1_000)})
    assert [finding.unit for finding in found] == [GOOGLE]
    later = {unit: now + Figures(sent=500, refused=5) for unit, now in parts.items()}
    assert judge.look({**later, GOOGLE: Figures(sent=100, refused=1_000)}) == []


def test_recipients_without_a_known_provider_are_held_with_their_connection() -> None:
    assert held({Unit("red", 0): BAD}) == [Unit("red")]


def test_a_change_for_the_worse_is_found_after_a_million_good_messages() -> None:
    judge = Judge(LIMITS, {})
    before = Figures(sent=1_000_000, refused=2_000)
    assert judge.look({GOOGLE: before}) == []
    assert judge.look({GOOGLE: before + Figures(sent=300, refused=100)}) != []


def test_below_its_limit_nothing_is_held_however_much_is_sent() -> None:
    judge = Judge(LIMITS, {})
    for looks in range(1, 200):
        assert judge.look({GOOGLE: Figures(sent=970 * looks, refused=49 * looks)}) == []


def test_what_earlier_runs_sent_counts_as_a_whole() -> None:
    before = {GOOGLE: Figures(sent=10_000, refused=500)}
    assert Judge(LIMITS, before).look(before) == []
    before = {GOOGLE: Figures(sent=10_000, refused=1_500)}
    assert Judge(LIMITS, before).look(before) != []


def test_a_unit_is_found_once() -> None:
    judge = Judge(LIMITS, {})
    assert len(judge.look({GOOGLE: BAD})) == 1
    assert judge.look({GOOGLE: BAD + BAD}) == []


@given(st.floats(0.0001, 0.5), st.integers(1, 10**6))
def test_a_single_failure_is_never_enough(limit: float, of: int) -> None:
    test = RateTest(limit)
    test.weigh(1, 1)
    assert not test.is_passed
    for failures in range(LEAST):
        assert not is_above(limit, failures, max(of, failures))
        assert not is_above_at_once(limit, failures, max(of, failures), alpha=0.5)


@given(st.floats(0.001, 0.5), st.integers(0, 1_000), st.integers(1, 10))
def test_evidence_is_the_same_in_one_batch_or_message_by_message(
    limit: float, failures: int, batches: int
) -> None:
    whole, parts = RateTest(limit), RateTest(limit)
    whole.weigh(failures * batches, failures * batches)
    for _ in range(batches):
        parts.weigh(failures, failures)
    assert whole.is_passed == parts.is_passed


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        (Figures(sent=100), []),
        (Figures(sent=96, refused=4), []),  # within the limit
        (Figures(sent=0, refused=2), []),  # too few to tell
        (Figures(sent=0, refused=4), [GOOGLE]),
        (Figures(sent=6, refused=4), [GOOGLE]),
        (Figures(sent=80, refused=20), [GOOGLE]),
        (Figures(sent=100, blocked_later=15), [GOOGLE]),
    ],
)
def test_a_canary_is_judged_by_fewer_messages(canary: Figures, expected: list[Unit]) -> None:
    fine = {MICROSOFT: Figures(sent=100, refused=1), YAHOO: Figures(sent=100)}
    found = judge_canary(LIMITS, {GOOGLE: canary, **fine})
    assert [finding.unit for finding in found] == expected


@given(st.floats(0.001, 0.5), st.integers(1, 2_000), st.floats(1e-9, 0.5))
def test_a_single_look_is_an_exact_binomial_test(limit: float, of: int, alpha: float) -> None:
    """It never finds more than the exact test, and next to nothing less."""
    from scipy.stats import binom  # half a second

    for failures in range(LEAST, of + 1, max(1, of // 50)):
        if failures > limit * of:
            tail = float(binom.sf(failures - 1, of, limit / 2))
            found = is_above_at_once(limit, failures, of, alpha=alpha)
            assert not found or tail <= alpha * (1 + 1e-9)
            assert found or tail > alpha / 2


def test_an_empty_canary_is_fine() -> None:
    assert judge_canary(LIMITS, {}) == []
