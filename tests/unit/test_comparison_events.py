"""Comparing connections by what the events of their providers report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.reports.comparison import Comparison, Measure, Observed, Question, compare
from mailsluice.reports.comparison.delays import compare_delays
from mailsluice.reports.comparison.verdict import Conclusion, ContrastResult, DelayResult
from tests.unit.compared_rows import row

EVENTS = {Measure.UNDELIVERED, Measure.BLOCKED, Measure.COMPLAINED}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plot, which takes longer than everything else."""
    page = "mailsluice.reports.comparison.page"
    monkeypatch.setattr(f"{page}.rates_plot", lambda rates, _: rates)
    monkeypatch.setattr(f"{page}.picture", lambda *_: "")


def reported(connection: str, mail: int, known: int, **fields: Any) -> dict[str, Any]:
    undelivered = fields.get("undelivered", 0)
    return row(connection, mail, known=known, delivered=known - undelivered, **fields)


def compared(*rows: dict[str, Any], delays: Any = None, **unknown: float) -> Comparison:
    frame = pd.DataFrame(rows).fillna(0)
    return compare(Observed(frame, delays=delays, unknown=unknown), Question())


def pairs_of(comparison: Comparison) -> set[tuple[Measure, str, str]]:
    contrasts = [result.contrast for result in comparison.verdicts]
    return {(contrast.measure, contrast.first, contrast.second) for contrast in contrasts}


def test_mail_that_is_not_known_yet_is_no_failure() -> None:
    """Half of b's mail has no event: of the other half as much is delivered as of a's."""
    found = compared(
        reported("a", 4_000, 4_000, undelivered=200),
        reported("b", 4_000, 2_000, undelivered=100),
        a=0.0,
        b=0.5,
    )
    (result,) = [one for one in found.verdicts if one.contrast.measure is Measure.UNDELIVERED]
    assert result.contrast.mail == (4_000, 2_000)
    assert result.contrast.rates == (0.05, 0.05)
    assert any(note.startswith("b: of 50.00% of the mail it is not known") for note in found.notes)
    assert any("a and b differ in the part of their mail" in note for note in found.notes)
    assert not any(note.startswith("a: of") for note in found.notes)


def test_a_provider_that_reports_no_deliveries_is_compared_by_replies_alone() -> None:
    found = compared(
        reported("a", 4_000, 4_000, undelivered=200, bounced=100),
        reported("b", 4_000, 4_000, undelivered=100, bounced=50),
        row("direct", 4_000, bounced=0),
        a=0.0,
        b=0.0,
    )
    by_events = {pair for pair in pairs_of(found) if pair[0] in EVENTS | {Measure.BOUNCED}}
    assert {pair[1:] for pair in by_events} == {("a", "b")}
    assert {pair[1:] for pair in pairs_of(found) if pair[0] is Measure.DEFERRED} == {
        ("a", "b"),
        ("a", "direct"),
        ("b", "direct"),
    }
    assert any("no deliveries of direct are reported by events" in note for note in found.notes)
    page = found.markdown()
    assert "for a, b, by the events of their providers" in page
    assert "| connection | mail | accepted, of all mail |" in page
    assert "delivered, of known mail" in page
    assert "b's mail is left undelivered less than a's: 2.50% against 5.00%" in page


def test_without_events_the_page_says_that_it_compares_replies() -> None:
    page = compared(row("a", 500, 17), row("b", 500, 11)).markdown()
    assert "no provider reports deliveries" in page
    assert "known mail" not in page.replace("all mail of which it is known", "")


def delays(*groups: tuple[str, str, int, bool, int]) -> pd.DataFrame:
    columns = ["connection", "provider", "seconds", "delivered", "number"]
    return pd.DataFrame(groups, columns=columns).assign(campaign="spring")


def test_the_connection_that_delivers_sooner_is_named_with_its_times() -> None:
    """A few of b's messages are still deferred after a day: they count as waiting."""
    times = delays(
        *(("a", "a.example", second, True, 10) for second in range(100)),
        *(("b", "a.example", 3 * second, True, 10) for second in range(90)),
        ("b", "a.example", 86_400, False, 100),
    )
    rows = [reported(name, 1_000, 1_000 - late) for name, late in (("a", 0), ("b", 100))]
    found = compared(*rows, delays=times, a=0.0, b=0.1)
    (result,) = found.delays
    assert result.finding is Conclusion.DIFFERENT
    assert result.text.startswith("a's mail is delivered sooner than b's within")
    assert "a: half within 49 s, 95 % within 94 s; b: half within 132 s" in result.text.replace(
        "2 min", "132 s"
    )
    assert result.adjusted_p is not None
    assert result.contrast.p_value is not None
    assert result.adjusted_p >= result.contrast.p_value
    assert "## Time to delivery" in found.markdown()
    assert found.summary().startswith("a's mail is delivered sooner")


def test_times_that_look_alike_are_shown_exactly() -> None:
    """One second of difference in three minutes."""
    times = delays(
        *(("a", "a.example", 170, True, 10) for _ in range(60)),
        *(("b", "a.example", 171, True, 10) for _ in range(60)),
    )
    found = compared(*(reported(name, 600, 600) for name in "ab"), delays=times, a=0.0, b=0.0)
    (result,) = found.delays
    assert "a: half within 170.0 s, 95 % within 170.0 s; b: half within 171.0 s" in result.text


@pytest.mark.parametrize(("unknown", "is_doubtful"), [(0.0, False), (0.2, True)])
def test_a_difference_by_events_is_in_doubt_while_unequal_parts_of_the_mail_are_not_known(
    unknown: float, is_doubtful: bool
) -> None:
    times = delays(
        *(("a", "a.example", second, True, 10) for second in range(60)),
        *(("b", "a.example", 3 * second, True, 10) for second in range(60)),
    )
    rows = [
        reported("a", 4_000, 4_000, undelivered=200),
        reported("b", 4_000, 4_000, undelivered=100),
    ]
    found = compared(*rows, delays=times, a=0.0, b=unknown)
    results: list[ContrastResult | DelayResult] = [*found.verdicts, *found.delays]
    shown = [result.text for result in results if result.finding is Conclusion.DIFFERENT]
    assert len(shown) == 2
    assert all(text.endswith("see the warnings") == is_doubtful for text in shown)


def test_equal_times_show_no_difference() -> None:
    times = delays(
        *((name, "a.example", second, True, 10) for name in "ab" for second in range(60))
    )
    found = compared(*(reported(name, 600, 600) for name in "ab"), delays=times, a=0.0, b=0.0)
    (result,) = found.delays
    assert (result.finding, result.contrast.z) == (Conclusion.OPEN, 0.0)
    assert "no difference is shown" in found.summary()


def test_a_domain_that_delays_all_mail_is_no_difference_between_connections() -> None:
    """The one connection has more of its mail to a slow domain."""
    times = delays(
        *(("a", "slow.example", 1_000 + second, True, 9) for second in range(100)),
        *(("b", "slow.example", 1_000 + second, True, 1) for second in range(100)),
        *(("a", "fast.example", second, True, 1) for second in range(100)),
        *(("b", "fast.example", second, True, 9) for second in range(100)),
    )
    rows = [
        reported(name, number, number, provider=domain)
        for name, domain, number in (
            *(("a", "slow.example", 900), ("b", "slow.example", 100)),
            *(("a", "fast.example", 100), ("b", "fast.example", 900)),
        )
    ]
    (result,) = compared(*rows, delays=times, a=0.0, b=0.0).delays
    assert result.contrast.strata == 2
    assert result.contrast.z == pytest.approx(0)


_groups = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["a.example", "b.example"]),
        st.integers(0, 9),
        st.booleans(),
        st.integers(1, 5),
    ),
    min_size=2,
    max_size=30,
)


@settings(deadline=None)
@given(_groups)
def test_the_log_rank_test_agrees_with_statsmodels(
    groups: list[tuple[str, str, int, bool, int]],
) -> None:
    times = delays(*groups)
    sizes = times.groupby(["connection", "provider"])["number"].sum()
    rows = [
        reported(name, max(100, int(number)), int(number), provider=domain)
        for name, domain, number in sizes.reset_index().itertuples(index=False, name=None)
    ]
    observed = Observed(pd.DataFrame(rows), delays=times, unknown={"a": 0.0, "b": 0.0})
    result = next(compare_delays(observed), None)
    shared = [d for d, part in times.groupby("provider") if part["connection"].nunique() == 2]
    each = times[times["provider"].isin(shared)]
    each = each.loc[np.repeat(each.index, each["number"])]
    if result is None or result.z is None:
        return
    from statsmodels.duration.survfunc import survdiff  # a second, and SciPy with it

    with np.errstate(all="ignore"):
        chi, p_value = survdiff(
            each["seconds"],
            each["delivered"].astype(int),
            each["connection"],
            strata=each["provider"],
        )
    assert result.z**2 == pytest.approx(chi, rel=1e-6, abs=1e-9)
    assert result.p_value == pytest.approx(p_value, rel=1e-6, abs=1e-9)
