"""Housekeeping: campaigns that are due, and the result's page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.status import CampaignStatus
from mailsluice.operations.housekeeping import Done, Kept, due
from mailsluice.operations.housekeeping.retention import DAY_SECONDS
from mailsluice.store.campaign_age import CampaignAge

NOW = 1_000 * DAY_SECONDS


def ended(
    number: int = 1,
    status: CampaignStatus = CampaignStatus.COMPLETED,
    *,
    days_ago: float | None = 500,
    is_archived: bool = False,
    is_cleared: bool = False,
) -> CampaignAge:
    at = None if days_ago is None else NOW - days_ago * DAY_SECONDS
    created = NOW - 600 * DAY_SECONDS
    return CampaignAge(number, f"c{number}", status, 10, created, at, is_archived, is_cleared)


@pytest.mark.parametrize(
    ("campaign", "is_due"),
    [
        (ended(), True),
        (ended(status=CampaignStatus.CANCELLED), True),
        (ended(days_ago=400.01), True),
        (ended(days_ago=400), False),  # not more than so many days
        (ended(status=CampaignStatus.SENDING, days_ago=None), False),  # never ended
        (ended(status=CampaignStatus.READY), False),  # ended, and made ready again since
        (ended(is_archived=True), True),  # its rows were not all deleted
        (ended(is_archived=True, is_cleared=True), False),  # done with
    ],
)
def test_campaigns_that_ended_long_ago_are_due(campaign: CampaignAge, is_due: bool) -> None:
    assert (campaign in due([campaign], NOW, 400).due) is is_due


@pytest.mark.parametrize(
    ("campaign", "is_settled"),
    [
        (ended(days_ago=2), True),
        (ended(days_ago=0.9), False),  # its uncertain recipients may be sent to again
        (ended(days_ago=500), False),  # it is archived
        (ended(days_ago=500, is_archived=True), False),
        (ended(status=CampaignStatus.READY, days_ago=2), False),  # ready again
    ],
)
def test_campaigns_that_ended_lately_are_settled(campaign: CampaignAge, is_settled: bool) -> None:
    assert (campaign in due([campaign], NOW, 400).settled) is is_settled


def test_the_oldest_campaign_is_archived_first() -> None:
    campaigns = [ended(1, days_ago=450), ended(2, days_ago=900), ended(3, days_ago=500)]
    assert [ended.id for ended in due(campaigns, NOW, 400).due] == [2, 3, 1]


def test_campaigns_that_never_ended_are_listed_and_kept() -> None:
    open_ = ended(status=CampaignStatus.READY, days_ago=None)
    found = due([open_, ended(2, is_archived=True, is_cleared=True)], NOW, 400)
    assert (found.due, found.stale, found.archived) == ((), (open_,), 1)


@given(st.lists(st.floats(0, 1_000), max_size=20), st.integers(30, 900), st.integers(0, 100))
def test_a_longer_retention_never_archives_more_campaigns(
    ages: list[float], keep_days: int, more: int
) -> None:
    campaigns = [ended(number, days_ago=age) for number, age in enumerate(ages, 1)]
    longer = set(due(campaigns, NOW, keep_days + more).due)
    assert longer <= set(due(campaigns, NOW, keep_days).due)


class TestPage:
    def test_a_plan_says_that_nothing_was_changed(self) -> None:
        kept = Kept(400, True, 2, [Done(ended(1)), Done(ended(2))], [], 0)
        assert kept.summary() == (
            "a plan, nothing was changed: 2 campaigns with 20 recipients ended more than 400 days"
            " ago; set archive_folder to archive them"
        )
        assert "To be archived" in kept.markdown()

    def test_campaigns_that_could_not_be_archived_are_listed_with_the_reason(self) -> None:
        done = [Done(ended(1), "/srv/1-c1", 12), Done(ended(2), trouble="no room on the disk")]
        kept = Kept(400, False, 2, done, [ended(3, CampaignStatus.READY, days_ago=None)], 4)
        page = kept.markdown()
        assert (
            kept.summary() == "1 of 2 campaigns archived, 12 rows deleted; 1 could not be archived"
        )
        for said in (
            "**c2**: no room on the disk",
            "/srv/1-c1",
            "c3",
            "Archived by earlier runs: 4",
        ):
            assert said in page

    def test_packed_campaigns_are_counted_and_the_others_listed_with_the_reason(self) -> None:
        packed = [Done(ended(1, days_ago=2)), Done(ended(2, days_ago=2), trouble="it is read")]
        kept = Kept(400, False, 0, [], [], 0, packed)
        assert kept.summary() == "no campaign ended more than 400 days ago; 1 campaign packed"
        assert "**c2**: it is read" in kept.markdown()

    def test_the_summary_says_that_nothing_is_due(self) -> None:
        assert Kept(400, False, 0, [], [], 0).summary() == (
            "nothing to do: no campaign ended more than 400 days ago"
        )
