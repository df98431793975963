"""The page of all campaigns: a row for each, with its run and its report."""

from mailsluice.reports.overview.overview import CampaignRow, Overview, State

__all__ = ["CampaignRow", "Overview", "State"]
