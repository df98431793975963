"""Recipients are shared out to routes exactly."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.limits.apportionment import quotas, round_robin_quotas

CASES = [
    (1_000, ["70", "30"], [700, 300]),  # divides exactly
    (1_001, ["33.3", "33.3", "33.4"], [333, 333, 335]),  # remainders .333 .333 .334
    (10, ["0.7", "0.3"], [7, 3]),  # fractions of 1: in floats 10 * 0.7 is not 7 everywhere
    (100, ["0", "100"], [0, 100]),  # none at 0 %
    (7, ["100"], [7]),  # all at 100 %
    (1_004, ["12.5", "87.5"], [126, 878]),  # a tie (125.5 and 878.5): to the earlier route
    (1, ["33", "33", "34"], [0, 0, 1]),  # fewer recipients than routes
    (2, ["25", "25", "25", "25"], [1, 1, 0, 0]),  # all tied: in the routes' order
    (0, ["70", "30"], [0, 0]),  # no recipients
    (10, ["1", "2"], [3, 7]),  # weights that add up to something else
    (3_000_000, ["0.000001", "99.999999"], [0, 3_000_000]),  # ideal 0.03 of a message
]


@pytest.mark.parametrize(("total", "shares", "expected"), CASES)
def test_quotas_follow_the_largest_remainder(
    total: int, shares: list[str], expected: list[int]
) -> None:
    assert quotas(total, [Decimal(share) for share in shares]) == expected


@pytest.mark.parametrize(
    ("total", "shares"),
    [
        (1, []),  # no route
        (1, ["0", "0"]),  # no share above 0
        (1, ["-1", "2"]),  # a negative share
        (-1, ["1"]),
    ],
)
def test_impossible_shares_are_refused(total: int, shares: list[str]) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        quotas(total, [Decimal(share) for share in shares])


@settings(deadline=None)
@given(
    st.integers(0, 10**9),
    st.lists(st.decimals(0, 100, places=6), min_size=1, max_size=100).filter(any),
)
def test_the_sum_is_exact_and_each_quota_within_one_of_its_ideal(
    total: int, shares: list[Decimal]
) -> None:
    counts = quotas(total, shares)

    assert sum(counts) == total
    whole = sum(map(Fraction, shares))
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - total * Fraction(share) / whole) < 1
        assert count == 0 or share > 0


@settings(deadline=None)
@given(st.integers(0, 2_000), st.integers(1, 150), st.integers(1, 12))
def test_round_robin_quotas_count_the_batches_of_each_route(
    total: int, batch_size: int, routes: int
) -> None:
    counted = Counter(i // batch_size % routes for i in range(total))

    assert round_robin_quotas(total, batch_size, routes) == [counted[r] for r in range(routes)]
