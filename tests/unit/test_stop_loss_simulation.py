"""How often a stop-loss stops a campaign that is fine, and how soon one that is not."""

from __future__ import annotations

import numpy as np
import pytest

from mailsluice.stop_loss import Figures, Judge, Limits, Unit, judge_canary, sequential_test
from mailsluice.stop_loss.sequential_test import RateTest
from tests.unit.simulated import at_least, at_most, trials

LIMITS = Limits(bounced=0.05, blocked=0.02, complained=0.003)
pytestmark = pytest.mark.thorough
CAMPAIGNS = trials(20)
_RECIPIENTS = 100_000
_LOOKS = 100


def campaign(rng: np.random.Generator, times: float) -> bool:
    """Whether a campaign is stopped whose rates are so many times all its limits."""
    units = [Unit(name, provider) for name in ("red", "green") for provider in range(1, 7)]
    figures = dict.fromkeys(units, Figures())
    judge = Judge(LIMITS, {})
    each = _RECIPIENTS // _LOOKS // len(units)
    for _ in range(_LOOKS):
        for unit in units:
            refused, blocked, complained = (
                int(rng.binomial(each, times * limit)) for _, limit in LIMITS.given()
            )
            figures[unit] += Figures(each - refused, refused, blocked, complained=complained)
        if judge.look(figures):
            return True
    return False


def test_at_half_the_limits_few_campaigns_are_stopped() -> None:
    rng = np.random.default_rng(1)
    stopped = sum(campaign(rng, 0.5) for _ in range(CAMPAIGNS))
    assert stopped <= at_most(CAMPAIGNS, 0.01)


def test_false_stops_are_as_rare_as_the_odds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """With odds that are low enough to see some."""
    messages, share, count = 1_000, 0.1, trials(100)
    monkeypatch.setattr(sequential_test, "ODDS", 3 * messages / share)
    rng = np.random.default_rng(2)
    passed = 0
    for failures in rng.random((count, messages)) < 0.05 / 2:
        test = RateTest(0.05)
        passed += any(_passed(test, failed) for failed in failures.tolist())
    assert passed <= at_most(count, share)


def _passed(test: RateTest, failed: bool) -> bool:
    test.weigh(failed, 1)
    return test.is_passed


@pytest.mark.parametrize(
    ("limit", "enough"),  # the numbers in docs/canary.md
    [(0.05, 800), (0.02, 2_000), (0.003, 12_000)],
)
def test_at_twice_the_limit_enough_messages_stop(limit: float, enough: int) -> None:
    count, batch = trials(200), 20
    rng = np.random.default_rng(3)
    stopped = 0
    for batches in rng.binomial(batch, 2 * limit, (count, enough // batch)).tolist():
        test = RateTest(limit)
        for failures in batches:
            test.weigh(failures, batch)
            if test.is_passed:
                stopped += 1
                break
    assert stopped >= at_least(count, 0.99)


def test_at_half_the_limits_few_canaries_are_stopped() -> None:
    count = trials(500)
    rng = np.random.default_rng(4)
    stopped = 0
    for sizes in rng.integers(1, 400, (count, 8)):
        figures = {
            Unit("red", number): Figures(size - refused, refused)
            for number, size in enumerate(sizes.tolist(), start=1)
            if (refused := int(rng.binomial(size, 0.025))) >= 0
        }
        stopped += bool(judge_canary(LIMITS, figures))
    assert stopped <= at_most(count, 0.005)
