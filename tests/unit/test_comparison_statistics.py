"""The statistics of a comparison: published results, other implementations, and strata."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.reports.comparison import Measure
from mailsluice.reports.comparison.comparison import _holm
from mailsluice.reports.comparison.contrast import Contrast, contrast
from mailsluice.reports.comparison.mantel_haenszel import common_odds_ratio, homogeneity, p_value
from mailsluice.reports.comparison.power import needed, smallest_shown
from mailsluice.reports.comparison.strata import MOST_PROVIDERS, stratify
from mailsluice.reports.comparison.wilson import wilson
from tests.unit.compared_rows import row, strict_warnings

BERKELEY = np.array(  # UCBAdmissions of R: departments A to F; men, women; admitted, rejected
    [
        [[512, 313], [89, 19]],
        [[353, 207], [17, 8]],
        [[120, 205], [202, 391]],
        [[138, 279], [131, 244]],
        [[53, 138], [94, 299]],
        [[22, 351], [24, 317]],
    ]
)
RABBITS = np.array(  # R's help of mantelhaen.test: penicillin levels; at once, late; cured, died
    [
        [[0, 6], [0, 5]],
        [[3, 3], [0, 6]],
        [[6, 0], [2, 4]],
        [[5, 1], [6, 0]],
        [[2, 0], [5, 0]],
    ]
)


def contrasted(*rows: dict[str, Any], confidence: float = 0.95) -> Contrast:
    found = contrast(stratify(pd.DataFrame(rows)), Measure.DEFERRED, "a", "b", confidence)
    assert found is not None
    return found


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("events", "mail", "low", "high"),
        [  # Newcombe, 1998, "Two-sided confidence intervals for the single proportion", table I
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0000, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_wilsons_interval(self, events: int, mail: int, low: float, high: float) -> None:
        assert wilson(events, mail, 0.95) == pytest.approx((low, high), abs=5e-5)

    def test_berkeley(self) -> None:
        """mantelhaen.test(UCBAdmissions): X-squared 1.4269, p 0.2323, odds ratio 0.9046968."""
        assert p_value(BERKELEY) == pytest.approx(0.2323, abs=5e-5)
        assert common_odds_ratio(BERKELEY) == pytest.approx(0.9046968, abs=5e-8)
        # Breslow-Day with Tarone's correction: X-squared 18.826, 5 degrees (DescTools)
        assert homogeneity(BERKELEY) == pytest.approx(0.002071, abs=5e-7)

    def test_rabbits(self) -> None:
        """mantelhaen.test(Rabbits, exact = TRUE): p 0.03994; common odds ratio 7 (not exact)."""
        assert p_value(RABBITS) == pytest.approx(0.03994, abs=5e-6)
        assert common_odds_ratio(RABBITS) == pytest.approx(7)

    def test_the_departments_explain_the_admissions(self) -> None:
        """Simpson's paradox: over all departments, far more men were admitted."""
        whole = p_value(BERKELEY.sum(axis=0, keepdims=True))
        assert whole is not None
        assert whole < 1e-10


counts = st.integers(0, 40)
tables = st.tuples(counts, counts, counts, counts)


class TestAgainstOthers:
    """SciPy and statsmodels, which are imported in the tests: that takes a second."""

    @given(st.integers(0, 4), st.integers(1, 60), st.integers(0, 4), st.integers(1, 60))
    def test_few_events_in_one_stratum_are_fishers_exact_test(
        self, a: int, first: int, b: int, second: int
    ) -> None:
        from scipy.stats import fisher_exact

        table = np.array([[a, first], [b, second]])
        expected = fisher_exact(table).pvalue
        found = p_value(table[None])
        assert found is None if a + b == 0 else found == pytest.approx(expected)

    @given(tables)
    def test_the_odds_ratio_of_one_stratum_is_scipys(self, cells: tuple[int, ...]) -> None:
        from scipy.stats import contingency

        table = np.array(cells).reshape(2, 2)
        found = common_odds_ratio(table[None])
        if (table == 0).any():
            return
        assert found == pytest.approx(contingency.odds_ratio(table, kind="sample").statistic)

    @given(st.integers(50, 2_000), st.integers(50, 2_000), st.floats(0, 1), st.floats(0, 1))
    def test_the_interval_of_one_stratum_is_newcombes(
        self, first: int, second: int, p: float, q: float
    ) -> None:
        from statsmodels.stats.proportion import confint_proportions_2indep

        a, b = round(p * first), round(q * second)
        found = contrasted(row("a", first, a), row("b", second, b))
        expected = confint_proportions_2indep(a, first, b, second, method="newcomb")
        assert found.interval == pytest.approx(expected, abs=1e-9)

    @patch("gc.collect", new=lambda: 0)  # multipletests calls it each time
    @given(st.lists(st.none() | st.floats(0, 1), max_size=12))
    def test_holm_is_that_of_statsmodels(self, p_values: list[float | None]) -> None:
        from statsmodels.stats.multitest import multipletests

        tested = [p for p in p_values if p is not None]
        expected = multipletests(tested, method="holm")[1] if tested else []
        found = _holm(p_values)
        assert [p is None for p in found] == [p is None for p in p_values]
        assert [p for p in found if p is not None] == pytest.approx(list(expected))

    @pytest.mark.parametrize("rate", [0.005, 0.03, 0.4])
    @pytest.mark.parametrize("difference", [0.005, 0.02])
    @pytest.mark.parametrize("alpha", [0.05, 0.05 / 9])
    def test_sizes_are_those_of_statsmodels(
        self, rate: float, difference: float, alpha: float
    ) -> None:
        from statsmodels.stats.power import NormalIndPower
        from statsmodels.stats.proportion import proportion_effectsize

        mail = needed(rate, difference, alpha)
        effect = proportion_effectsize(rate + difference, rate)
        power = NormalIndPower().power(effect, mail, alpha)
        assert power == pytest.approx(0.8, abs=1e-4)
        assert smallest_shown(rate, mail, mail, alpha) == pytest.approx(difference, abs=1e-6)


class TestStrata:
    def test_a_different_mix_of_domains_is_not_a_difference(self) -> None:
        """More mail of b goes to the provider that defers more; rates within each are equal."""
        found = contrasted(
            row("a", 9_000, 90),
            row("b", 1_000, 10),
            row("a", 1_000, 200, provider="slow.example"),
            row("b", 9_000, 1_800, provider="slow.example"),
        )
        assert found.difference == pytest.approx(0)
        assert found.p_value == pytest.approx(1, abs=0.05)

    def test_a_campaign_over_one_connection_changes_only_its_rate(self) -> None:
        rows = [row("a", 5_000, 100), row("b", 5_000, 150)]
        alone = row("a", 90_000, 30_000, campaign="summer")
        with_it, without = contrasted(*rows, alone), contrasted(*rows)
        assert with_it == without

    def test_small_domains_are_one_stratum_and_so_are_those_beyond_the_largest(self) -> None:
        small = [row(c, 10, provider=f"s{i}.example") for i in range(50) for c in "ab"]
        large = [
            row(c, 100 + i, provider=f"l{i}.example")
            for i in range(MOST_PROVIDERS + 5)
            for c in "ab"
        ]
        strata = stratify(pd.DataFrame(small + large))
        assert len(strata.names) == MOST_PROVIDERS + 1
        assert strata.mail["mail"].sum() == sum(group["mail"] for group in small + large)
        assert strata.names[-1] == "others in spring"

    @given(
        st.lists(st.tuples(tables, st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)
    )
    def test_any_counts_give_finite_and_symmetric_results(
        self, drawn: list[tuple[tuple[int, ...], int, int]]
    ) -> None:
        rows = [
            row(name, events + rest, events, campaign=f"c{i}", provider=f"d{domain}.example")
            for i, ((a, b, c, d), domain, _) in enumerate(drawn)
            for name, events, rest in (("a", a, b), ("b", c, d))
        ]
        strata = stratify(pd.DataFrame(rows))
        with strict_warnings():
            found = contrast(strata, Measure.DEFERRED, "a", "b", 0.95)
            other = contrast(strata, Measure.DEFERRED, "b", "a", 0.95)
        if found is None or other is None:
            assert found is other
            return
        low, high = found.interval
        assert low - 1e-9 <= found.difference <= high + 1e-9
        assert high > low
        assert (-other.interval[1], -other.interval[0]) == pytest.approx((low, high))
        assert (found.p_value is None) == (other.p_value is None)
        if found.p_value is not None:
            assert found.p_value == pytest.approx(other.p_value, abs=1e-6)
            assert 0 <= found.p_value <= 1
