"""The progress of a campaign while it is sent: numbers, what each connection waits for, words."""

from mailsluice.reports.progress.binding import TROUBLES, Binding, Cause, ConnectionFacts, binding
from mailsluice.reports.progress.finish import Finish
from mailsluice.reports.progress.pace import RecentPace
from mailsluice.reports.progress.page import LOG_SECONDS, Page
from mailsluice.reports.progress.standing import Progress, Standing, Tally

__all__ = [
    "LOG_SECONDS",
    "TROUBLES",
    "Binding",
    "Cause",
    "ConnectionFacts",
    "Finish",
    "Page",
    "Progress",
    "RecentPace",
    "Standing",
    "Tally",
    "binding",
]
