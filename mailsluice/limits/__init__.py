"""Limits on the rate of sending, and the moments at which messages may start under them."""

from mailsluice.limits.clock import DatabaseClock
from mailsluice.limits.holding import Hold, hold
from mailsluice.limits.limits import Bound, Cap, Limit, Rates, Rules, bounds, limits, shared
from mailsluice.limits.timekeeping import Look, Timekeeper, Timeline
from mailsluice.limits.usage import HOLDER_SECONDS, Usage, give_out

__all__ = [
    "HOLDER_SECONDS",
    "Bound",
    "Cap",
    "DatabaseClock",
    "Hold",
    "Limit",
    "Look",
    "Rates",
    "Rules",
    "Timekeeper",
    "Timeline",
    "Usage",
    "bounds",
    "give_out",
    "hold",
    "limits",
    "shared",
]
