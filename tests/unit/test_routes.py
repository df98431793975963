"""Shares that grow are exact on every day, and refused if impossible."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign import Campaign
from tests.unit.test_campaign import campaign, refusal, routes

MONDAY = date(2026, 1, 5)


def growing(percent: Any, to: Any, days: int = 28, start: date = MONDAY) -> dict[str, Any]:
    """Return the fields of a route with a growing share."""
    return {"percent": percent, "grows_to": to, "grows_from": start, "grows_over_days": days}


def split(*shares: Any) -> dict[str, Any]:
    """Return a campaign with routes c0, c1, ...; a number is a fixed percentage."""
    fields = [share if isinstance(share, dict) else {"percent": share} for share in shares]
    named = [{"connection": f"c{i}", **route} for i, route in enumerate(fields)]
    return {"strategy": "percentage", "routes": named}


def percents(plan: Campaign, days: int) -> list[str]:
    return [str(percent) for percent in plan.percents(MONDAY + timedelta(days=days)) or ()]


def test_a_weekly_campaign_shifts_to_the_new_connection() -> None:
    plan = campaign(**split(growing(10, 50), 60, 30))
    assert [percents(plan, 7 * week) for week in range(6)] == [
        ["10", "60", "30"],
        ["20", "53.333333", "26.666667"],  # the others keep their ratio of 2 to 1
        ["30", "46.666667", "23.333333"],
        ["40", "40", "20"],
        ["50", "33.333333", "16.666667"],
        ["50", "33.333333", "16.666667"],  # the share stays there
    ]
    assert percents(plan, -1) == ["10", "60", "30"]


def test_several_shares_may_grow() -> None:
    plan = campaign(**split(growing(10, 40, 10), 80, growing(10, 30, 20)))
    assert percents(plan, 5) == ["25", "60", "15"]
    assert percents(plan, 20) == ["40", "30", "30"]


def test_a_share_may_grow_to_100() -> None:
    assert percents(campaign(**split(growing(0, 100), 70, 30)), 28) == ["100", "0", "0"]


def test_shares_of_zero_stay_zero() -> None:
    plan = campaign(**split(growing(100, 100), 0))
    assert percents(plan, 14) == ["100", "0"]


@pytest.mark.parametrize(
    ("shares", "advice"),
    [
        ([growing(10, 70), 50, growing(40, 60)], "on 2026-01-23 the growing percentages add up"),
        (
            [growing(50, 60), growing(50, 50)],
            "on 2026-01-06 the growing percentages add up to 100.3",
        ),
        ([{**growing(10, 50), "grows_from": None}, 90], "add grows_from"),
        ([{"percent": 10, "grows_to": 50}, 90], "add grows_from, grows_over_days"),
        ([{**growing(10, 50), "percent": None}, 90], "add percent"),
        (
            [growing(50, 10), 50],
            "would shrink from 50 to 10: let the shares of other connections grow",
        ),
        ([growing(10, 50, days=0), 90], "greater than or equal to 1"),
        ([growing(10, 101), 90], "less than or equal to 100"),
        ([growing(10, 50), 80], "add up to 90, not 100"),
    ],
)
def test_impossible_growth_is_refused_with_advice(shares: list[Any], advice: str) -> None:
    assert advice in refusal(**split(*shares))


def test_growth_outside_percentage_mode_is_refused() -> None:
    route = {"connection": "a", **growing(100, 100)}
    assert "has a percentage, but the strategy is 'single'" in refusal(routes=[route])


def test_growth_is_part_of_the_campaigns_content() -> None:
    plan = campaign(**split(growing(10, 50), 90))
    assert plan.content() != campaign(**split(10, 90)).content()
    assert plan.content()["routes"][0]["grows_from"] == "2026-01-05"


percent = st.integers(0, 100_000_000).map(lambda share: Decimal(share) / 1_000_000)


@st.composite
def growths(draw: st.DrawFn) -> list[Any]:
    """Draw feasible routes, of which some grow."""
    cuts = sorted(draw(st.lists(percent, min_size=1, max_size=5)))
    starts = [b - a for a, b in zip([Decimal(0), *cuts], [*cuts, Decimal(100)], strict=True)]
    grows = draw(st.lists(st.booleans(), min_size=len(starts), max_size=len(starts)))
    room = sum((start for start, flag in zip(starts, grows, strict=True) if not flag), Decimal(0))
    shares: list[Any] = []
    for start, flag in zip(starts, grows, strict=True):
        more = draw(st.integers(0, int(room * 1_000_000))) if flag else 0
        room -= Decimal(more) / 1_000_000 if flag else 0
        days = draw(st.integers(1, 400))
        first = MONDAY + timedelta(days=draw(st.integers(-100, 100)))
        shares.append(
            growing(start, start + Decimal(more) / 1_000_000, days, first) if flag else start
        )
    return shares


@given(growths(), st.integers(-200, 600))
def test_shares_are_exact_on_every_day(shares: list[Any], days: int) -> None:
    """The sum is 100, growing shares are on their line, and the others stay in proportion."""
    plan = campaign(**split(*shares))
    day = MONDAY + timedelta(days=days)
    shares_on_day = plan.percents(day)
    assert shares_on_day is not None
    assert sum(shares_on_day) == 100
    assert sum(plan.shares(day).values()) == 1
    fixed = [
        (a, b)
        for a, b, route in zip(shares, shares_on_day, plan.routes, strict=True)
        if not route.growth
    ]
    before, after = sum(a for a, _ in fixed), sum(b for _, b in fixed)
    for was, now in fixed:
        assert before == 0 or abs(now - was * after / before) < Decimal("0.000001")
    for share, now in zip(shares, shares_on_day, strict=True):
        if isinstance(share, dict):
            done = min(max((day - share["grows_from"]).days, 0), share["grows_over_days"])
            ideal = (
                share["percent"]
                + (share["grows_to"] - share["percent"]) * done / share["grows_over_days"]
            )
            assert 0 <= ideal - now < Decimal("0.000001") + Decimal("1e-20")


def test_without_growth_shares_are_the_same_every_day() -> None:
    plan = campaign(strategy="percentage", routes=routes(["33.3", "33.3", "33.4"]))
    assert percents(plan, 0) == percents(plan, 500) == ["33.3", "33.3", "33.4"]
