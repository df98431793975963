"""Affinity: recipients keep their connection, and as few as possible move."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.assignment.assignment import Assignment, assign
from mailsluice.assignment.keeping import ELSEWHERE, NEW, Groups, groups_of, lay_out_keeping
from mailsluice.assignment.layout import lay_out
from mailsluice.campaign import Campaign
from mailsluice.core.forms import in_words
from tests.thorough import examples

Routes = npt.NDArray[np.int16]
Keys = npt.NDArray[np.uint64]
DAY = date(2026, 1, 5)


def campaign(name: str = "spring", **fields: Any) -> Campaign:
    shares = fields.pop("shares", (70, 30))
    return Campaign.model_validate(
        {
            "name": name,
            "recipients": {"path": "recipients.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [
                {"connection": name, "percent": share}
                for name, share in zip("abc", shares, strict=False)
            ],
            "affinity": "recipient",
            **fields,
        }
    )


@st.composite
def memories(draw: st.DrawFn) -> tuple[list[int], Routes, Groups]:
    """Quotas; what is remembered of the recipients in the order of the layout; their groups."""
    counts = draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    known = st.integers(ELSEWHERE, len(counts) - 1)
    total = sum(counts)
    remembered = draw(st.lists(known, min_size=total, max_size=total))
    groups = draw(st.lists(st.integers(0, 5), min_size=total, max_size=total))
    return counts, np.array(remembered, np.int16), np.array(groups, np.int32)


@settings(deadline=None, max_examples=examples(300))
@given(memories())
def test_the_counts_are_exact_and_as_few_as_possible_move(
    memory: tuple[list[int], Routes, Groups],
) -> None:
    counts, remembered, groups = memory
    routes = lay_out_keeping(counts, remembered, groups)
    assert np.bincount(routes, minlength=len(counts)).tolist() == counts
    moved = np.count_nonzero((routes != remembered) & (remembered >= 0))
    have = np.bincount(remembered[remembered >= 0], minlength=len(counts))
    assert moved == np.maximum(have - counts, 0).sum()
    assert np.array_equal(lay_out_keeping(counts, routes, groups), routes)  # what fits stays


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.sampled_from([NEW, ELSEWHERE]))
def test_without_a_memory_nothing_differs(counts: list[int], unknown: int) -> None:
    remembered = np.full(sum(counts), unknown, np.int16)
    groups = np.zeros(len(remembered), np.int32)
    assert np.array_equal(lay_out_keeping(counts, remembered, groups), lay_out(counts))


def test_those_who_move_are_spread_evenly() -> None:
    """Of a connection whose share shrinks by a tenth, every tenth recipient of a domain moves."""
    before = lay_out([5_000, 5_000])
    groups = np.repeat(np.arange(100, dtype=np.int32), 100)
    after = lay_out_keeping([5_500, 4_500], before, groups)
    assert np.count_nonzero(after != before) == 500
    assert np.all(np.count_nonzero((after != before).reshape(-1, 100), axis=1) == 5)
    assert np.diff(np.flatnonzero(after != before)).max() <= 22


def test_a_domain_that_cannot_be_even_leaves_the_others_even() -> None:
    """A domain is all on the first route. The others have gaps that new recipients fill."""
    remembered = np.concatenate([np.zeros(500, np.int16), lay_out([2_250, 2_250])])
    remembered[500::3] = NEW
    groups = np.repeat(np.arange(10, dtype=np.int32), 500)
    routes = lay_out_keeping([2_500, 2_500], remembered, groups)
    kept = remembered >= 0
    assert np.array_equal(routes[kept], remembered[kept])
    of_the_first = np.count_nonzero(routes.reshape(-1, 500) == 0, axis=1)
    assert of_the_first[0] == 500
    assert of_the_first[1:].min() >= 220  # 222 are left for each on average
    assert of_the_first[1:].max() <= 225


def test_new_recipients_fill_the_gaps_of_each_domain() -> None:
    """In every second domain the recipients of the first route are new, else those of the other."""
    full = lay_out([500, 500])
    groups = np.repeat(np.arange(10, dtype=np.int32), 100)
    remembered = np.where(full == groups % 2, np.int16(NEW), full)
    assert np.array_equal(lay_out_keeping([500, 500], remembered, groups), full)


def test_small_domains_share_a_group_within_their_provider() -> None:
    sizes = [60, 2, 3, 30, 40, 70, 5, 5]
    domains = np.repeat(np.arange(8, dtype=np.uint64), sizes)
    providers = np.where(domains < 6, 1, 2).astype(np.int16)
    groups = groups_of(domains, providers)
    of_domain = [int(groups[domains == domain][0]) for domain in range(8)]
    assert of_domain == [3, 0, 0, 0, 1, 4, 2, 2]
    assert np.array_equal(np.unique(groups), np.arange(5))
    assert groups_of(domains[:0], providers[:0]).tolist() == []


def people(number: int, seed: int) -> tuple[Keys, Keys]:
    """Addresses by key, at domains of very different sizes."""
    random = np.random.default_rng(seed)
    keys = random.integers(0, 2**63, (number, 2)).astype(np.uint64)
    return keys, np.minimum(random.zipf(1.3, number), 400).astype(np.uint64)


def by_recipient(assignment: Assignment) -> Routes:
    routes = np.empty(len(assignment.order), np.int16)
    routes[assignment.order] = assignment.route
    return routes


def test_growing_shares_move_the_least_each_week_and_stay_even_at_each_domain() -> None:
    """Ten weeks: from 90/10 to 45/55, while a twentieth of the audience comes and goes."""
    random = np.random.default_rng(1)
    keys, domains = people(4_000, seed=2)
    memory: dict[int, int] = {}
    moved_in_all = 0
    for week in range(10):
        stays = random.random(len(keys)) > 0.05
        fresh = people(int(np.count_nonzero(~stays)), seed=100 + week)
        keys = np.concatenate([keys[stays], fresh[0]])
        domains = np.concatenate([domains[stays], fresh[1]])
        remembered = np.array([memory.get(key, NEW) for key in keys[:, 0].tolist()], np.int16)
        shares = (90 - 5 * week, 10 + 5 * week)
        document = campaign(f"week {week}", shares=shares)
        assignment = assign(keys, domains, document, DAY, remembered=remembered)
        routes = by_recipient(assignment)
        have = np.bincount(remembered[remembered >= 0], minlength=2)
        least = np.maximum(have - assignment.quotas, 0).sum()
        assert assignment.affinity
        assert assignment.affinity.moved == least
        assert assignment.affinity.new == np.count_nonzero(remembered == NEW)
        assert assignment.quotas == (len(keys) * shares[0] // 100, len(keys) * shares[1] // 100)
        for domain in np.unique(domains).tolist():
            mine = routes[domains == domain]
            assert abs(np.count_nonzero(mine == 0) - len(mine) * shares[0] / 100) < 6
        memory |= dict(zip(keys[:, 0].tolist(), routes.tolist(), strict=True))
        moved_in_all += assignment.affinity.moved
    assert moved_in_all < 0.5 * len(keys)  # 45 % of a constant audience


@pytest.mark.parametrize("strategy", ["percentage", "round_robin"])
@pytest.mark.parametrize("has_order", [False, True])
def test_the_assignment_does_not_depend_on_the_order_of_the_rows(
    strategy: str, has_order: bool
) -> None:
    keys, domains = people(500, seed=3)
    remembered = np.random.default_rng(4).integers(ELSEWHERE, 2, 500).astype(np.int16)
    values = (np.arange(500) % 7).astype(np.float64) if has_order else None
    fields: dict[str, Any] = {"order_by": "score"} if has_order else {}
    if strategy == "round_robin":
        fields |= {"strategy": strategy, "routes": [{"connection": "a"}, {"connection": "b"}]}
        fields |= {"batch_size": 7}
    document = campaign(**fields)
    shuffled = np.random.default_rng(5).permutation(500)
    one = assign(keys, domains, document, DAY, None, values, remembered)
    other = assign(
        keys[shuffled],
        domains[shuffled],
        document,
        DAY,
        None,
        None if values is None else values[shuffled],
        remembered[shuffled],
    )
    assert one.digest(keys) == other.digest(keys[shuffled])
    assert np.bincount(one.route).tolist() == list(one.quotas)
    if strategy == "round_robin":
        assert np.array_equal(one.route, np.arange(500) // 7 % 2)


def test_a_campaign_without_affinity_has_the_content_of_older_ones() -> None:
    content = campaign(affinity="off").content()
    assert "affinity" not in content
    assert "affinity_group" not in content
    assert campaign().content()["affinity"] == "recipient"
    assert campaign(affinity_group="").affinity_group == "default"
    assert campaign(affinity=False) == campaign(affinity="off")  # as YAML reads a bare off


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        (
            {"strategy": "single", "routes": [{"connection": "a"}]},
            "affinity has nothing to keep with the strategy 'single'",
        ),
        ({"affinity": "off", "affinity_group": "shop"}, "affinity_group is for campaigns with"),
        (
            {"strategy": "throughput", "routes": [{"connection": "a"}, {"connection": "b"}]},
            "affinity has nothing to keep with the strategy 'throughput'",
        ),
    ],
)
def test_affinity_that_would_be_ignored_is_refused(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        campaign(**fields)
    assert advice in in_words(caught.value)
