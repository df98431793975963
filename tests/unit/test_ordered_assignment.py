"""A campaign that is ordered by a column: each connection sends in order, to its fair share."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.assignment.assignment import Assignment, assign
from mailsluice.campaign import Campaign
from tests.thorough import examples
from tests.unit.test_assignment import CAMPAIGNS, DAY, audience, by_recipient, ideals, split

Values = npt.NDArray[np.float64]
PLANS = [plan.model_copy(update={"order_by": "score"}) for plan in CAMPAIGNS]
HALVES = split("50", "50").model_copy(update={"order_by": "score"})


def people(
    sizes: list[int], seed: int, levels: int, together: int = 3
) -> tuple[Any, Any, Any, Values]:
    """Return addresses at domains of these sizes, so many of them a provider, with their scores.

    Scores have this many levels; some recipients have none.
    """
    rng = np.random.default_rng(seed)
    domain = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    addresses, _ = audience(len(domain), 1, seed)
    scores = rng.integers(0, levels, len(domain)).astype(float)
    scores[rng.random(len(domain)) < 0.1] = np.nan
    return addresses, domain.astype(np.uint64), (domain // together + 1).astype(np.int16), scores


def ranked(values: Values, *, is_descending: bool = True) -> Values:
    """Return values that grow from the first recipient to the last; those without one are last."""
    return np.nan_to_num(-values if is_descending else values, nan=1e9)


def groups(domains: Any, providers: Any) -> list[npt.NDArray[np.bool]]:
    """Return the large domains, and the small domains of each provider together, as masks."""
    names, of_name, counts = np.unique(domains, return_inverse=True, return_counts=True)
    is_small = (counts <= 2)[of_name]
    large = [domains == name for name in names[counts > 2]]
    return [*large, *(is_small & (providers == one) for one in np.unique(providers))]


@settings(deadline=None, max_examples=examples(60))
@given(
    st.sampled_from(PLANS),
    st.lists(st.one_of(st.integers(1, 2), st.integers(3, 9)), max_size=60),
    st.integers(0, 99),
    st.sampled_from([1, 3, 1_000]),
    st.sampled_from([3, 60]),
    st.booleans(),
)
def test_connections_send_in_order_and_share_each_group_from_its_first_recipient_on(
    plan: Campaign,
    sizes: list[int],
    seed: int,
    levels: int,
    together: int,
    is_descending: bool,
) -> None:
    """Wherever a group is cut, a connection is less than two messages away from its share."""
    addresses, domains, providers, values = people(sizes, seed, levels, together)
    plan = plan.model_copy(update={"order_descending": is_descending})

    result = assign(addresses, domains, plan, DAY, providers, values)

    assert sorted(result.order) == list(range(len(values)))
    rank = ranked(values, is_descending=is_descending)
    routes = by_recipient(result)
    for route, share in enumerate(ideals(plan, result.quotas)):
        assert np.all(np.diff(rank[result.order[result.route == route]]) >= 0)
        for kind in (domains, providers):
            for one in np.unique(kind):
                assert _is_near(routes[kind == one], route, share)
        for group in groups(domains, providers):
            for level in np.unique(rank[group]):
                assert _is_near(routes[group & (rank <= level)], route, share)


def _is_near(routes: npt.NDArray[np.int16], route: int, share: Fraction) -> bool:
    return abs(int((routes == route).sum()) - len(routes) * share) < 2


def mean_ranks(result: Assignment, values: Values) -> list[float]:
    """Return the mean place of each route's recipients in the order of all, from 0 to 1."""
    place = np.empty(len(values))
    place[np.argsort(-values)] = np.arange(len(values)) / len(values)
    routes = by_recipient(result)
    return [float(place[routes == route].mean()) for route in range(len(result.quotas))]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10, 40])
def test_equal_shares_have_equally_good_recipients(size: int) -> None:
    """By the layout alone, one connection has the better recipients of each domain of four."""
    addresses, domains, providers, _ = people([size] * (12_000 // size), 1, 1)
    values = np.random.default_rng(2).random(len(domains))

    for plan in (HALVES, PLANS[6]):  # both strategies with two connections
        result = assign(addresses, domains, plan, DAY, providers, values)
        assert mean_ranks(result, values) == pytest.approx([0.5, 0.5], abs=0.005)


def test_recipients_at_small_domains_are_shared_out_as_if_at_one() -> None:
    """A list of companies has few recipients at each domain."""
    addresses, domains, providers, _ = people([1, 2] * 500, 1, 1, together=1_000)
    values = np.random.default_rng(2).random(len(domains))

    routes = by_recipient(assign(addresses, domains, HALVES, DAY, providers, values))

    best = routes[np.argsort(-values)]
    assert all(_is_near(best[:number], 0, Fraction(1, 2)) for number in range(len(best)))


def test_unequal_shares_have_equally_good_recipients() -> None:
    addresses, domains = audience(30_000, 8_000)
    values = np.random.default_rng(2).random(len(domains))

    plan = split("70", "20", "10").model_copy(update={"order_by": "score"})
    result = assign(addresses, domains, plan, DAY, None, values)

    assert mean_ranks(result, values) == pytest.approx([0.5] * 3, abs=0.01)


def test_equal_values_keep_the_mixed_order() -> None:
    addresses, domains = audience(1_000, 9)

    mixed = assign(addresses, domains, HALVES, DAY)
    result = assign(addresses, domains, HALVES, DAY, None, np.full(1_000, 7.0))

    assert np.array_equal(result.order, mixed.order)


@pytest.mark.parametrize("plan", PLANS)
def test_the_assignment_does_not_depend_on_the_order_of_the_rows(plan: Campaign) -> None:
    addresses, domains, providers, values = people([5, 1, 2, 1, 40, 3, 2] * 9, 3, 20)
    shuffled = np.random.default_rng(1).permutation(len(values))

    first = assign(addresses, domains, plan, DAY, providers, values)
    second = assign(
        addresses[shuffled], domains[shuffled], plan, DAY, providers[shuffled], values[shuffled]
    )

    assert first.digest(addresses) == second.digest(addresses[shuffled])
