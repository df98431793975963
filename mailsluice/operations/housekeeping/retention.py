"""Choosing the campaigns that are old enough to be archived. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailsluice.core.status import CampaignStatus
from mailsluice.store.campaign_age import CampaignAge

DAY_SECONDS = 86_400.0
PACK_AFTER_DAYS = 1
"""Days after which nobody is expected to send to a campaign's uncertain recipients again."""
_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Retention:
    """The work of a run, the oldest campaigns first."""

    due: tuple[CampaignAge, ...]
    """Campaigns to archive, and archived ones with rows still to delete."""
    settled: tuple[CampaignAge, ...]
    """Campaigns that ended more than PACK_AFTER_DAYS days ago and are not due yet."""
    stale: tuple[CampaignAge, ...]
    """Campaigns of the same age that never ended: an operator must complete or cancel them."""
    archived: int
    """Campaigns that earlier runs archived."""


def due(campaigns: Sequence[CampaignAge], now: float, keep_days: int) -> Retention:
    """Find the campaigns that ended more than `keep_days` days before `now`."""
    before = now - keep_days * DAY_SECONDS
    settled_before = now - PACK_AFTER_DAYS * DAY_SECONDS
    left = [campaign for campaign in campaigns if not campaign.is_cleared]
    return Retention(
        due=_by_age(
            campaign for campaign in left if campaign.is_archived or _has_ended(campaign, before)
        ),
        settled=_by_age(
            campaign
            for campaign in left
            if not campaign.is_archived
            and _has_ended(campaign, settled_before)
            and not _has_ended(campaign, before)
        ),
        stale=_by_age(
            campaign
            for campaign in left
            if not campaign.is_archived
            and campaign.status not in _ENDED
            and campaign.created_at < before
        ),
        archived=sum(campaign.is_cleared for campaign in campaigns),
    )


def _has_ended(campaign: CampaignAge, before: float) -> bool:
    return (
        campaign.status in _ENDED and campaign.ended_at is not None and campaign.ended_at < before
    )


def _by_age(campaigns: Iterable[CampaignAge]) -> tuple[CampaignAge, ...]:
    return tuple(
        sorted(
            campaigns, key=lambda campaign: (campaign.ended_at or campaign.created_at, campaign.id)
        )
    )
