"""Simulated comparisons of campaigns that the real assignment splits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.comparison import Setting, shown, simulated
from mailsluice.reports.comparison import Measure
from tests.unit.simulated import at_least, at_most, trials

pytestmark = pytest.mark.thorough
CAMPAIGNS = trials(60)
"""Trials that show gross faults; `make simulations` shows smaller ones."""
ENOUGH = trials(250)
"""Trials that detect nine uncorrected tests: 12 % of the pages, with a bound of 10.8 %."""


@pytest.mark.parametrize(
    ("setting", "campaigns"),
    [
        (Setting(percents=(50, 50)), CAMPAIGNS),
        (Setting(percents=(60, 30, 10), recipients=1_000), ENOUGH),  # few events, nine tests
    ],
)
def test_without_a_difference_no_more_pages_show_one_than_the_confidence_allows(
    setting: Setting, campaigns: int
) -> None:
    pages = list(simulated(setting, campaigns))
    assert shown(pages) <= at_most(campaigns, 0.05) / campaigns


def test_a_difference_is_found_as_often_as_the_power_says() -> None:
    nothing = list(simulated(Setting(), 20))
    smallest = float(
        np.median(
            [
                verdict.smallest_shown
                for page in nothing
                for verdict in page.verdicts
                if verdict.contrast.measure is Measure.DEFERRED
            ]
        )
    )
    found = shown(list(simulated(Setting(gain=smallest), CAMPAIGNS)), Measure.DEFERRED)
    assert at_least(CAMPAIGNS, 0.72) / CAMPAIGNS <= found
    assert found <= at_most(CAMPAIGNS, 0.88) / CAMPAIGNS
