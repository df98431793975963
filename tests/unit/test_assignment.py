"""Recipients are assigned to routes and to places in the send order."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.assignment.assignment import Assignment, assign
from mailsluice.campaign import Campaign

Keys = npt.NDArray[np.uint64]
DAY = date(2026, 1, 5)


def campaign(name: str = "spring-sale", **fields: Any) -> Campaign:
    return Campaign.model_validate(
        {
            "name": name,
            "recipients": {"path": "recipients.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            **fields,
        }
    )


def split(*percents: str, name: str = "spring-sale") -> Campaign:
    routes = [{"connection": f"c{i}", "percent": p} for i, p in enumerate(percents)]
    return campaign(name, strategy="percentage", routes=routes)


def turns(routes: int, batch_size: int) -> Campaign:
    return campaign(
        strategy="round_robin",
        batch_size=batch_size,
        routes=[{"connection": f"c{i}"} for i in range(routes)],
    )


def audience(size: int, domains: int, seed: int = 0) -> tuple[Keys, Keys]:
    """Return keys of random addresses at a few domains, from large to small ones."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 2**64, (size, 2), dtype=np.uint64)
    names = rng.integers(0, 2**64, domains, dtype=np.uint64)
    return keys, names[(domains * rng.random(size) ** 3).astype(int)]


def by_recipient(assignment: Assignment) -> npt.NDArray[np.int16]:
    result = np.full(len(assignment.order), -1, np.int16)
    result[assignment.order] = assignment.route
    return result


CAMPAIGNS = [
    campaign(routes=[{"connection": "only"}]),
    split("70", "30"),
    split("0", "100"),
    split("12.5", "87.5"),
    split("33.3", "33.3", "33.4"),
    split("50", "20", "10", "10", "5", "4", "1"),
    turns(2, 100),
    turns(3, 7),
    turns(5, 1),
]


def ideals(plan: Campaign, quotas: tuple[int, ...]) -> list[Fraction]:
    return [Fraction(quota, max(sum(quotas), 1)) for quota in quotas]


@pytest.mark.parametrize("plan", CAMPAIGNS)
@pytest.mark.parametrize("size", [0, 1, 2, 1_001])
def test_every_recipient_has_one_place_and_the_quotas_are_exact(plan: Campaign, size: int) -> None:
    result = assign(*audience(size, 5), plan, DAY)

    assert sorted(result.order) == list(range(size))
    counted = np.bincount(result.route, minlength=len(plan.routes))
    assert tuple(counted) == result.quotas
    assert sum(result.quotas) == size


def test_1001_recipients_are_shared_out_to_three_routes() -> None:
    assert assign(*audience(1_001, 5), split("33.3", "33.3", "33.4"), DAY).quotas == (333, 333, 335)


@pytest.mark.parametrize("plan", CAMPAIGNS)
@pytest.mark.parametrize("seed", range(3))
def test_every_domain_is_split_within_two_messages_of_the_shares(plan: Campaign, seed: int) -> None:
    addresses, domains = audience(3_001, 40, seed)

    result = assign(addresses, domains, plan, DAY)

    routes = by_recipient(result)
    for domain in np.unique(domains):
        inside = routes[domains == domain]
        for route, share in enumerate(ideals(plan, result.quotas)):
            assert abs(int((inside == route).sum()) - len(inside) * share) < 2


@settings(deadline=None)
@given(
    plan=st.sampled_from(CAMPAIGNS),
    size=st.integers(0, 1_500),
    domains=st.integers(1, 300),
    providers=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_provider_and_every_domain_is_split_within_two_messages_of_the_shares(
    plan: Campaign, size: int, domains: int, providers: int, seed: int
) -> None:
    addresses, names = audience(size, domains, seed)
    hosts = (names % np.uint64(providers)).astype(np.int16) + np.int16(1)

    result = assign(addresses, names, plan, DAY, hosts)

    assert sorted(result.order) == list(range(size))
    assert tuple(np.bincount(result.route, minlength=len(plan.routes))) == result.quotas
    routes = by_recipient(result)
    for group in (names, hosts):
        for one in np.unique(group):
            inside = routes[group == one]
            for route, share in enumerate(ideals(plan, result.quotas)):
                assert abs(int((inside == route).sum()) - len(inside) * share) < 2


@pytest.mark.parametrize("plan", CAMPAIGNS)
@pytest.mark.parametrize("provider", [1, 7])
def test_recipients_of_one_provider_are_assigned_as_without_providers(
    plan: Campaign, provider: int
) -> None:
    addresses, domains = audience(1_001, 9)
    hosts = np.full(1_001, provider, np.int16)

    first = assign(addresses, domains, plan, DAY)
    second = assign(addresses, domains, plan, DAY, hosts)

    assert first.digest(addresses) == second.digest(addresses)


def test_campaigns_lay_providers_out_in_different_orders() -> None:
    """Else the route that a rounding favours would be the same for every campaign."""
    addresses = audience(8, 1)[0]
    domains = np.arange(8, dtype=np.uint64)
    hosts = np.arange(1, 9, dtype=np.int16)
    plans = (split("50", "50", name=f"week {i}") for i in range(20))

    favoured = {tuple(by_recipient(assign(addresses, domains, plan, DAY, hosts))) for plan in plans}

    assert len(favoured) > 5


@pytest.mark.parametrize("plan", CAMPAIGNS)
def test_the_assignment_does_not_depend_on_the_order_of_the_rows(plan: Campaign) -> None:
    addresses, domains = audience(1_001, 9)
    hosts = (domains % 3).astype(np.int16)
    shuffled = np.random.default_rng(1).permutation(1_001)

    first = assign(addresses, domains, plan, DAY, hosts)
    second = assign(addresses[shuffled], domains[shuffled], plan, DAY, hosts[shuffled])

    assert np.array_equal(addresses[first.order], addresses[shuffled][second.order])
    assert np.array_equal(first.route, second.route)
    assert first.digest(addresses) == second.digest(addresses[shuffled])


def test_addresses_with_the_same_first_64_bits_have_a_stable_order() -> None:
    addresses, domains = audience(50, 3)
    addresses[:, 0] //= 2**62  # four values
    backwards = slice(None, None, -1)

    first = assign(addresses, domains, split("70", "30"), DAY)
    second = assign(addresses[backwards], domains[backwards], split("70", "30"), DAY)

    assert first.digest(addresses) == second.digest(addresses[backwards])


def test_the_digest_differs_for_other_assignments() -> None:
    addresses, domains = audience(100, 3)
    digests = {
        assign(addresses, domains, plan, DAY).digest(addresses)
        for plan in (split("70", "30"), split("70", "30", name="other"), split("60", "40"))
    }

    assert len(digests) == 3


def test_another_process_makes_the_same_assignment() -> None:
    script = (
        "from tests.unit.test_assignment import *;"
        "a, d = audience(1_000, 9); print(assign(a, d, split('70', '30'), DAY).digest(a))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    addresses, domains = audience(1_000, 9)
    here = assign(addresses, domains, split("70", "30"), DAY).digest(addresses)
    assert other.stdout.strip() == here


@pytest.mark.parametrize(
    "domains", [1_000, 1]
)  # one recipient at each domain; all at the same domain
def test_two_campaigns_split_the_same_people_differently(domains: int) -> None:
    addresses, names = audience(10_000, domains)

    first = by_recipient(assign(addresses, names, split("50", "50", name="march"), DAY))
    second = by_recipient(assign(addresses, names, split("50", "50", name="april"), DAY))

    assert 0.45 < (first == second).mean() < 0.55


@pytest.mark.parametrize("plan", [split("70", "30"), turns(3, 7)])
def test_the_send_order_mixes_domains(plan: Campaign) -> None:
    addresses = audience(10_000, 2)[0]
    domains = np.repeat(np.array([1, 2], np.uint64), 5_000)

    sent = domains[assign(addresses, domains, plan, DAY).order]

    for part in np.array_split(sent, 10):
        assert 0.4 < (part == 1).mean() < 0.6


@settings(deadline=None)
@given(st.integers(0, 700), st.integers(1, 90), st.integers(1, 9))
def test_round_robin_batches_take_exact_turns(size: int, batch_size: int, routes: int) -> None:
    result = assign(*audience(size, 4), turns(routes, batch_size), DAY)

    assert result.route.tolist() == [i // batch_size % routes for i in range(size)]
