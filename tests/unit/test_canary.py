"""Which recipients are a canary."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.assignment.canary import canary
from mailsluice.campaign import Canary, StopLoss
from tests.unit.test_campaign import campaign

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.booleans()), max_size=300)


@given(pairs, st.integers(1, 10_000))
def test_each_pair_has_its_exact_part_and_its_first_recipients(
    recipients: list[tuple[int, int, bool]], hundredths: int
) -> None:
    percent = Decimal(hundredths) / 100
    given_rows = np.array(recipients, np.int16).reshape(-1, 3)
    chosen = canary(given_rows[:, 0], given_rows[:, 1], given_rows[:, 2].astype(bool), percent)
    due = [(route, provider) for route, provider, is_due in recipients if is_due]
    counts, total = Counter(due), ceil(Fraction(percent) * len(due) / 100)
    left = Counter(
        (route, provider)
        for (route, provider, _), flag in zip(recipients, chosen.tolist(), strict=True)
        if flag
    )
    for pair, count in counts.items():
        ideal = Fraction(total * count, len(due))
        assert left[pair] in {max(1, int(ideal)), max(1, ceil(ideal))}
    assert left.keys() == counts.keys()
    assert sum(max(1, number) for number in left.values()) >= min(total, len(due))
    for (route, provider, is_due), flag in zip(recipients, chosen.tolist(), strict=True):
        if is_due:  # the first ones are chosen
            assert flag is (left[route, provider] > 0)
            left[route, provider] -= flag
        else:
            assert not flag


def test_the_largest_remainders_are_rounded_up() -> None:
    providers = np.repeat(np.array([1, 2, 3], np.int16), [650, 250, 100])
    chosen = canary(np.zeros(1000, np.int16), providers, np.ones(1000, bool), Decimal(1))
    assert Counter(providers[chosen].tolist()) == {1: 7, 2: 2, 3: 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"canary": {"percent": 1}}, "needs limits: fill in the stop_loss"),
        ({"canary": {"approve": "operator"}}, "no canary to approve: fill in percent"),
        ({"canary": {"percent": 0}}, "greater than or equal to 0.01"),
        ({"stop_loss": {"bounce_percent": 60}}, "less than or equal to 50"),
    ],
)
def test_a_document_that_cannot_be_judged_is_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        campaign(**fields)


def test_canary_and_stop_loss_may_change_between_runs() -> None:
    limits = {"bounce_percent": 5, "block_percent": 2, "complaint_percent": 0.3}
    changed = campaign(canary={"percent": 1}, stop_loss=limits)
    assert changed.content() == campaign().content()
    assert campaign(canary={"percent": 1, "approve": "operator"}).canary
    assert not Canary()
    assert not StopLoss()
