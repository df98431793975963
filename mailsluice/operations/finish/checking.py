"""Check that a campaign has time until its finish time, before anything is written. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from mailsluice.campaign import Campaign
from mailsluice.campaign.finish import LONGEST
from mailsluice.core.errors import CampaignError


def refuse_impossible(campaign: Campaign, moment: datetime) -> None:
    """Raise CampaignError where a campaign, launched at a moment, has no time for its mail."""
    opens_at = campaign.sending_window.opens_at(moment)
    end = campaign.finish_at(opens_at)
    if end is None:
        return
    refuse_far(end, opens_at)
    zone = campaign.sending_window.timezone or "UTC"
    if end <= moment:
        raise CampaignError(
            f"the campaign was to be finished by {_full(end, zone)}, which has passed: give a later"
            " finish_by, or leave it empty to send at once"
        )
    if end <= opens_at:
        raise CampaignError(
            f"the campaign is to be finished by {_full(end, zone)}, but its sending window opens at"
            f" {_full(opens_at, zone)}: give a later finish_by, or another sending window"
        )


def refuse_far(end: datetime, since: datetime) -> None:
    """Raise CampaignError for an end that is more than a year away."""
    if end - since > LONGEST:
        raise CampaignError(
            f"the campaign is to be finished by {end:%Y-%m-%d %H:%M}, more than a year away: give"
            " an earlier finish_by"
        )


def _full(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
