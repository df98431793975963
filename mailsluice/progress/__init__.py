"""How a campaign gets on while it is sent: numbers, what holds it up, and both in words."""

from mailsluice.progress.binding import TROUBLES, Binding, Cause, Facts, binding
from mailsluice.progress.pace import Pace
from mailsluice.progress.page import LOG_SECONDS, Page
from mailsluice.progress.standing import Progress, Standing, Tally

__all__ = [
    "LOG_SECONDS",
    "TROUBLES",
    "Binding",
    "Cause",
    "Facts",
    "Pace",
    "Page",
    "Progress",
    "Standing",
    "Tally",
    "binding",
]
