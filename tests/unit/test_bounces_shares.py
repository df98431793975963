"""The thresholds of bounces and complaints that a campaign exceeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailsluice.bounces.shares import ReturnedCounts, exceeded, responsible


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


@pytest.mark.parametrize(
    ("by_provider", "name"),
    [
        ({}, None),  # a campaign of an older version
        ({"google": (400, 20), "yahoo": (500, 5)}, "google"),
        ({"google": (400, 12), "yahoo": (500, 13)}, None),  # both
        ({"google": (400, 25), "yahoo": (500, 0)}, "google"),
        ({"google": (1_000, 25)}, None),  # there is no other one to compare it with
        ({"google": (900, 22), "yahoo": (100, 3)}, None),  # the others exceed it, too
        ({"google": (400, 20)}, "google"),  # small ones, which are not listed, have the rest
    ],
)
def test_a_provider_is_responsible_if_all_others_are_below_the_threshold(
    by_provider: dict[str, tuple[int, int]], name: str | None
) -> None:
    (share,) = exceeded(ReturnedCounts(attempted=1_000, sent=975, hard=25, complained=0))
    counts = {
        name: ReturnedCounts(attempted, attempted, hard, 0)
        for name, (attempted, hard) in by_provider.items()
    }
    found = responsible(share, counts)
    assert (found.provider if found else None) == name


def test_an_alert_names_the_responsible_provider_with_its_numbers() -> None:
    (share,) = exceeded(ReturnedCounts(attempted=5_000, sent=5_000, hard=0, complained=10))
    found = responsible(share, {"yahoo": ReturnedCounts(1_000, 800, 0, 8)})
    assert str(replace(share, responsible=found)) == (
        "10 complaints of 5,000 (0.20 %): more than 0.1 %; Yahoo and AOL alone has 8 of 800"
        " (1.00 %); all others are below the threshold together"
    )
