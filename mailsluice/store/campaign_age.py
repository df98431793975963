"""The age of a campaign, which decides when it is archived. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mailsluice.core.status import CampaignStatus


@dataclass(frozen=True, slots=True)
class CampaignAge:
    """A campaign's age and whether it is archived. Times are in seconds since the epoch."""

    id: int
    name: str
    status: CampaignStatus
    accepted: int
    """Recipients at the launch."""
    created_at: float
    ended_at: float | None
    is_archived: bool
    """Whether the archive's files are complete and recorded."""
    is_cleared: bool
    """Whether the archived rows are deleted, so that nothing is left to do."""
