"""Comparing connections: the verdicts and their page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mailsluice.reports.comparison import Comparison, Measure, Observed, Question, compare
from mailsluice.reports.comparison.power import needed
from mailsluice.reports.comparison.verdict import Conclusion, rounded
from tests.unit.compared_rows import row, strict_warnings


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the picture out, which takes most of a page's time; other tests draw it."""
    page = "mailsluice.reports.comparison.page"
    monkeypatch.setattr(f"{page}.rates_plot", lambda rates, _: rates)
    monkeypatch.setattr(f"{page}.picture", lambda rates, alt: alt)


def compared(*rows: dict[str, Any], **question: float) -> Comparison:
    with strict_warnings():
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


@pytest.mark.usefixtures("undrawn")
class TestVerdicts:
    def test_a_difference_names_the_better_connection_with_rates_and_interval(self) -> None:
        finding, text = deferred(compared(row("a", 5_000, 170), row("b", 5_000, 105)))
        assert finding is Conclusion.DIFFERENT
        assert text.startswith(
            "b's mail is deferred less than a's: 2.10% against 3.40% over the same mix of campaigns"
            " and mailbox providers; a minus b: 1.30 percentage points, 95% interval 0.66 to 1.95,"
            " p < 0.0001 after Holm"
        )

    def test_the_interval_has_the_direction_of_the_tests_table(self) -> None:
        """The difference is first minus second by name, whichever connection is better."""
        found = compared(row("a", 5_000, 105), row("b", 5_000, 170))
        _, text = deferred(found)
        assert "; a minus b: -1.30 percentage points, 95% interval -1.95 to -0.66," in text
        assert (
            "| deferred | replies | a, b | 1 | 2.10%, 3.40% | -1.30 (-1.95 to -0.66) |"
            in found.markdown()
        )
        assert "| first minus second, in percentage points |" in found.markdown()
        _, text = deferred(compared(row("a", 500, 17), row("b", 500, 11)))
        assert "a minus b is likely -0." in text

    def test_rates_over_all_mail_that_contradict_the_strata_are_a_warning(self) -> None:
        """Simpson's paradox: a's mail is deferred more over all, but less in each domain."""
        rows = [
            row("a", 900, 90, provider="hard.example"),
            row("b", 100, 12, provider="hard.example"),
            row("a", 100, 1, provider="easy.example"),
            row("b", 900, 18, provider="easy.example"),
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
            row("a", 5_000, 100, provider="slow.example"),
            row("b", 5_000, 300, provider="slow.example"),
        )
        finding, text = deferred(found)
        assert finding is Conclusion.DEPENDS
        assert "the opposite of the whole in slow.example in spring" in text

    def test_domains_that_cancel_out_are_not_called_alike(self) -> None:
        found = compared(
            row("a", 50_000, 600),
            row("b", 50_000, 1_100),
            row("a", 50_000, 1_100, provider="slow.example"),
            row("b", 50_000, 600, provider="slow.example"),
        )
        assert deferred(found)[0] is Conclusion.DEPENDS

    def test_domains_with_the_same_direction_get_a_verdict(self) -> None:
        found = compared(
            row("a", 5_000, 600),
            row("b", 5_000, 100),
            row("a", 5_000, 300, provider="slow.example"),
            row("b", 5_000, 200, provider="slow.example"),
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

    def test_connections_are_compared_within_a_campaign_only(self) -> None:
        found = compared(
            row("a", 5_000, 500),
            row("b", 5_000, 50, campaign="summer"),
        )
        assert found.verdicts == []
        assert "no two connections have mail in the same campaign" in found.summary()
        assert any("spring went over one connection only" in note for note in found.notes)


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
    found = compare(Observed(frame, ["spring"], {"spring": ["b"]}, {"spring": 5}), Question())
    page = found.markdown()
    assert "spring: 7 recipients were moved" in page
    assert "spring: 2 recipients are uncertain" in page
    assert "spring: b warmed up" in page
    assert "spring: 5 recipients kept the connection" in page
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
