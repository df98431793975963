"""The report of a campaign: numbers, a page, pictures and a file of HTML."""

from mailsluice.reports.campaign.page import PictureOf, page
from mailsluice.reports.campaign.report import Report, RouteReport
from mailsluice.reports.campaign.statistics import (
    AcceptedOverTime,
    DomainOutcome,
    ReplyCount,
    Statistics,
)

__all__ = [
    "AcceptedOverTime",
    "DomainOutcome",
    "PictureOf",
    "ReplyCount",
    "Report",
    "RouteReport",
    "Statistics",
    "page",
]
