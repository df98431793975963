"""Comparing connections: published results, other implementations, and verdicts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import contingency, fisher_exact
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_effectsize

from mailsluice.reports.comparison import Comparison, Measure, Observed, Question, compare
from mailsluice.reports.comparison.comparison import _holm
from mailsluice.reports.comparison.contrast import Contrast, contrast
from mailsluice.reports.comparison.mantel_haenszel import common_odds_ratio, homogeneity, p_value
from mailsluice.reports.comparison.power import needed, smallest_shown
from mailsluice.reports.comparison.strata import MOST_DOMAINS, stratify
from mailsluice.reports.comparison.verdict import Conclusion, rounded
from mailsluice.reports.comparison.wilson import wilson

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


def row(connection: str, mail: int, deferred: int = 0, **fields: Any) -> dict[str, Any]:
    failed = fields.pop("failed", 0)
    rest = {"bounced": 0, "moved": 0, "uncertain": 0, "campaign": "spring", "domain": "a.example"}
    return {
        **rest,
        "connection": connection,
        "mail": mail,
        "accepted": mail - failed,
        "deferred": deferred,
        "failed": failed,
        **fields,
    }


def compared(*rows: dict[str, Any], **question: float) -> Comparison:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(Observed(pd.DataFrame(rows)), Question(**question))
        page = found.markdown()
    assert "nan" not in page.split("data:")[0]
    assert "inf" not in page.split("data:")[0]
    return found


def deferred(comparison: Comparison) -> tuple[Conclusion, str]:
    (one,) = [
        verdict for verdict in comparison.verdicts if verdict.contrast.measure is Measure.DEFERRED
    ]
    return one.finding, one.text


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
    @given(st.integers(0, 4), st.integers(1, 60), st.integers(0, 4), st.integers(1, 60))
    def test_few_events_in_one_stratum_are_fishers_exact_test(
        self, a: int, first: int, b: int, second: int
    ) -> None:
        table = np.array([[a, first], [b, second]])
        expected = fisher_exact(table).pvalue
        found = p_value(table[None])
        assert found is None if a + b == 0 else found == pytest.approx(expected)

    @given(tables)
    def test_the_odds_ratio_of_one_stratum_is_scipys(self, cells: tuple[int, ...]) -> None:
        table = np.array(cells).reshape(2, 2)
        found = common_odds_ratio(table[None])
        if (table == 0).any():
            return
        assert found == pytest.approx(contingency.odds_ratio(table, kind="sample").statistic)

    @given(st.integers(50, 2_000), st.integers(50, 2_000), st.floats(0, 1), st.floats(0, 1))
    def test_the_interval_of_one_stratum_is_newcombes(
        self, first: int, second: int, p: float, q: float
    ) -> None:
        a, b = round(p * first), round(q * second)
        found = contrasted(row("a", first, a), row("b", second, b))
        expected = confint_proportions_2indep(a, first, b, second, method="newcomb")
        assert found.interval == pytest.approx(expected, abs=1e-9)

    @given(st.lists(st.none() | st.floats(0, 1), max_size=12))
    def test_holm_is_that_of_statsmodels(self, p_values: list[float | None]) -> None:
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
            row("a", 1_000, 200, domain="slow.example"),
            row("b", 9_000, 1_800, domain="slow.example"),
        )
        assert found.difference == pytest.approx(0)
        assert found.p_value == pytest.approx(1, abs=0.05)

    def test_connections_are_compared_within_a_campaign_only(self) -> None:
        found = compared(
            row("a", 5_000, 500),
            row("b", 5_000, 50, campaign="summer"),
        )
        assert found.verdicts == []
        assert "no two connections have mail in the same campaign" in found.summary()
        assert any("spring went over one connection only" in note for note in found.notes)

    def test_a_campaign_over_one_connection_changes_only_its_rate(self) -> None:
        rows = [row("a", 5_000, 100), row("b", 5_000, 150)]
        alone = row("a", 90_000, 30_000, campaign="summer")
        with_it, without = contrasted(*rows, alone), contrasted(*rows)
        assert with_it == without

    def test_small_domains_are_one_stratum_and_so_are_those_beyond_the_largest(self) -> None:
        small = [row(c, 10, domain=f"s{i}.example") for i in range(50) for c in "ab"]
        large = [
            row(c, 100 + i, domain=f"l{i}.example") for i in range(MOST_DOMAINS + 5) for c in "ab"
        ]
        strata = stratify(pd.DataFrame(small + large))
        assert len(strata.names) == MOST_DOMAINS + 1
        assert strata.mail.sum() == sum(group["mail"] for group in small + large)
        assert strata.names[-1] == "others in spring"

    @given(
        st.lists(st.tuples(tables, st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)
    )
    def test_any_counts_give_finite_and_symmetric_results(
        self, drawn: list[tuple[tuple[int, ...], int, int]]
    ) -> None:
        rows = [
            row(name, events + rest, events, campaign=f"c{i}", domain=f"d{domain}.example")
            for i, ((a, b, c, d), domain, _) in enumerate(drawn)
            for name, events, rest in (("a", a, b), ("b", c, d))
        ]
        strata = stratify(pd.DataFrame(rows))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
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


class TestVerdicts:
    def test_a_difference_names_the_better_connection_with_rates_and_interval(self) -> None:
        finding, text = deferred(compared(row("a", 5_000, 170), row("b", 5_000, 105)))
        assert finding is Conclusion.DIFFERENT
        assert text.startswith(
            "b's mail is deferred less than a's: 2.10% against 3.40% over the same mix of campaigns"
            " and domains; a minus b: 1.30 percentage points, 95% interval 0.66 to 1.95,"
            " p < 0.0001 after Holm"
        )

    def test_the_interval_has_the_direction_of_the_tests_table(self) -> None:
        """The difference is first minus second by name, whichever connection is better."""
        found = compared(row("a", 5_000, 105), row("b", 5_000, 170))
        _, text = deferred(found)
        assert "; a minus b: -1.30 percentage points, 95% interval -1.95 to -0.66," in text
        assert "| deferred | a, b | 1 | 2.10%, 3.40% | -1.30 (-1.95 to -0.66) |" in found.markdown()
        assert "| first minus second, in percentage points |" in found.markdown()
        _, text = deferred(compared(row("a", 500, 17), row("b", 500, 11)))
        assert "a minus b is likely -0." in text

    def test_rates_over_all_mail_that_contradict_the_strata_are_a_warning(self) -> None:
        """Simpson's paradox: a's mail is deferred more over all, but less in each domain."""
        rows = [
            row("a", 900, 90, domain="hard.example"),
            row("b", 100, 12, domain="hard.example"),
            row("a", 100, 1, domain="easy.example"),
            row("b", 900, 18, domain="easy.example"),
        ]
        found = compared(*rows)
        (note,) = [note for note in found.notes if "of all their mail" in note]
        assert note.startswith("a and b, deferred: 9.10% and 3.00% of all their mail, 5.50% and ")
        assert note in found.markdown()
        assert "| connection | mail | accepted, of all mail |" in found.markdown()

    def test_rates_that_agree_with_the_strata_give_no_warning(self) -> None:
        alike = compared(row("a", 5_000, 105), row("b", 5_000, 170))
        assert not [note for note in alike.notes if "of all their mail" in note]

    def test_an_open_verdict_says_how_much_more_mail_is_needed(self) -> None:
        finding, text = deferred(compared(row("a", 500, 17), row("b", 500, 11)))
        assert finding is Conclusion.OPEN
        more = 2 * needed(30 / 1_004, 0.005, 0.05) - 1_000
        assert f"about {float(f'{more:.1e}'):,.0f} more messages of both together" in text
        assert "a difference of 0.50 points in four of five cases" in text

    def test_enough_mail_for_a_difference_is_recognised(self) -> None:
        finding, text = deferred(
            compared(row("a", 5_000, 170), row("b", 5_000, 139), smallest_difference=0.015)
        )
        assert finding is Conclusion.ALIKE
        finding, text = deferred(
            compared(row("a", 5_000, 174), row("b", 5_000, 140), smallest_difference=0.012)
        )
        assert finding is Conclusion.OPEN
        assert "neither shows nor excludes one" in text

    def test_a_narrow_interval_says_that_no_difference_is_likely(self) -> None:
        finding, text = deferred(compared(row("a", 50_000, 1_000), row("b", 50_000, 1_010)))
        assert finding is Conclusion.ALIKE
        assert "no difference larger than 0.19 points is likely" in text

    def test_contradicting_domains_get_no_overall_verdict(self) -> None:
        found = compared(
            row("a", 5_000, 600),
            row("b", 5_000, 100),
            row("a", 5_000, 100, domain="slow.example"),
            row("b", 5_000, 300, domain="slow.example"),
        )
        finding, text = deferred(found)
        assert finding is Conclusion.DEPENDS
        assert "the opposite of the whole in slow.example in spring" in text

    def test_domains_that_cancel_out_are_not_called_alike(self) -> None:
        found = compared(
            row("a", 50_000, 600),
            row("b", 50_000, 1_100),
            row("a", 50_000, 1_100, domain="slow.example"),
            row("b", 50_000, 600, domain="slow.example"),
        )
        assert deferred(found)[0] is Conclusion.DEPENDS

    def test_domains_with_the_same_direction_get_a_verdict(self) -> None:
        found = compared(
            row("a", 5_000, 600),
            row("b", 5_000, 100),
            row("a", 5_000, 300, domain="slow.example"),
            row("b", 5_000, 200, domain="slow.example"),
        )
        (one,) = [
            verdict for verdict in found.verdicts if verdict.contrast.measure is Measure.DEFERRED
        ]
        assert one.contrast.homogeneity is not None
        assert one.contrast.homogeneity < 0.001
        assert one.finding is Conclusion.DIFFERENT

    def test_many_tests_raise_the_bar_for_a_difference(self) -> None:
        rows = [row("a", 5_000, 160), row("b", 5_000, 125)]
        assert deferred(compared(*rows))[0] is Conclusion.DIFFERENT
        others = [row(name, 5_000, 140) for name in "cdef"]
        found = compared(*rows, *others)
        assert all(verdict.finding is not Conclusion.DIFFERENT for verdict in found.verdicts)
        (one, *_) = [verdict for verdict in found.verdicts if verdict.contrast.p_value is not None]
        assert "after Holm" in one.text

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((200, 1), (2_000, 0)),  # 1 in 11; the approximation without correction: p = 0.002
            ((10, 0), (2_000, 1)),  # certain, nearly; the approximation with it: p < 0.0001
        ],
    )
    def test_a_single_event_in_little_mail_is_no_difference(
        self, first: tuple[int, int], second: tuple[int, int]
    ) -> None:
        assert deferred(compared(row("a", *first), row("b", *second)))[0] is Conclusion.OPEN


class TestDegenerate:
    def test_one_connection_gives_no_verdict(self) -> None:
        found = compared(row("a", 100, 3))
        assert found.verdicts == []
        assert "nothing to compare" in found.summary()

    def test_a_connection_without_mail_is_named(self) -> None:
        found = compared(row("a", 100, 3), row("b", 0))
        assert "b has no mail in these campaigns" in found.notes
        assert found.verdicts == []

    def test_mail_accepted_everywhere_gives_no_certainty(self) -> None:
        few = compared(row("a", 100), row("b", 100))
        assert deferred(few)[0] is Conclusion.OPEN
        many = compared(row("a", 50_000), row("b", 50_000))
        assert deferred(many)[0] is Conclusion.ALIKE
        assert "(0.00% and 0.00%)" in deferred(many)[1]

    def test_mail_deferred_everywhere_gives_no_difference(self) -> None:
        assert deferred(compared(row("a", 100, 100), row("b", 100, 100)))[0] is Conclusion.OPEN

    def test_one_recipient_each_gives_no_difference(self) -> None:
        assert deferred(compared(row("a", 1, 1), row("b", 1)))[0] is Conclusion.OPEN

    def test_bounces_are_not_compared_when_none_is_recorded(self) -> None:
        found = compared(row("a", 50_000), row("b", 50_000))
        assert {verdict.contrast.measure for verdict in found.verdicts} == {
            Measure.DEFERRED,
            Measure.FAILED,
        }
        assert any("no hard bounce is recorded" in note for note in found.notes)
        known = compared(row("a", 50_000, bounced=3), row("b", 50_000))
        assert Measure.BOUNCED in {verdict.contrast.measure for verdict in known.verdicts}


def test_the_page_warns_of_what_was_left_out() -> None:
    frame = pd.DataFrame([row("a", 500, 9, moved=7), row("b", 500, 12, uncertain=2)])
    found = compare(Observed(frame, ["spring"], {"spring": ["b"]}), Question())
    page = found.markdown()
    assert "spring: 7 recipients were moved" in page
    assert "spring: 2 recipients are uncertain" in page
    assert "spring: b warmed up" in page
    assert "spring still has mail to send" in page
    assert "| a | 500 | 100.00% (99.24% to 100.00%) | 1.80% (0.95% to 3.39%) |" in page
    assert "![95% intervals of each connection's rates](data:image/png;base64," in page
    assert "compare once" in page


@pytest.mark.parametrize(("heading", "tests"), [("Two connections", 3), ("Four connections", 18)])
def test_the_sizes_in_the_documentation_are_true(heading: str, tests: int) -> None:
    page = Path("docs/comparing-providers.md").read_text()
    lines = page.partition(f"\n{heading}")[2].split("\n\n")[1].splitlines()
    assert len(lines) == 2 + 5
    for line in lines[2:]:
        rate, *sizes = (cell.strip() for cell in line.strip("|").split("|"))
        expected = [
            f"{rounded(needed(float(rate.rstrip(' %')) / 100, points / 100, 0.05 / tests)):,}"
            for points in (0.25, 0.5, 1, 2)
        ]
        assert sizes == expected
