"""What happened to a campaign, as numbers, as a page and in pictures."""

from mailsluice.report.page import PictureOf, page
from mailsluice.report.report import Report, RouteReport
from mailsluice.report.statistics import DomainOutcome, Pace, ReplyCount, Statistics

__all__ = [
    "DomainOutcome",
    "Pace",
    "PictureOf",
    "ReplyCount",
    "Report",
    "RouteReport",
    "Statistics",
    "page",
]
