"""The thresholds of bounces and complaints that a campaign exceeds."""

from __future__ import annotations

import pytest

from mailsluice.bounces.shares import ReturnedCounts, exceeded


@pytest.mark.parametrize(
    ("returned", "passed"),
    [
        (
            ReturnedCounts(attempted=100, sent=98, hard=2, complained=0),
            [],
        ),  # 2 % is not more than 2 %
        (ReturnedCounts(attempted=100, sent=97, hard=3, complained=0), ["2"]),
        (ReturnedCounts(attempted=100, sent=94, hard=6, complained=0), ["2", "5"]),
        (ReturnedCounts(attempted=49, sent=0, hard=49, complained=0), []),  # too few to tell
        (ReturnedCounts(attempted=50, sent=48, hard=2, complained=0), ["2"]),
        (ReturnedCounts(attempted=999, sent=999, hard=0, complained=99), []),
        (ReturnedCounts(attempted=1_000, sent=1_000, hard=0, complained=1), []),
        (ReturnedCounts(attempted=1_000, sent=1_000, hard=0, complained=2), ["0.1"]),
        (ReturnedCounts(attempted=0, sent=0, hard=0, complained=0), []),
    ],
)
def test_a_threshold_is_exceeded_by_a_larger_share_of_enough_recipients(
    returned: ReturnedCounts, passed: list[str]
) -> None:
    assert [share.threshold for share in exceeded(returned)] == passed


def test_an_exceeded_threshold_is_described_with_its_numbers() -> None:
    (share,) = exceeded(ReturnedCounts(attempted=1_000, sent=970, hard=30, complained=0))
    assert str(share) == "30 hard bounces of 1,000 (3.00 %): more than 2 %"
