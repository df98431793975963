"""Limits on the rate of sending, and the moments at which messages may start under them."""

from mailsluice.limits.calendar_limit import (
    CalendarLimit,
    QuotaUse,
    Unit,
    calendar_limits,
    refuse_no_calendar,
)
from mailsluice.limits.clock import DatabaseClock
from mailsluice.limits.granting import Report, exchange, give_out
from mailsluice.limits.holding import Hold, hold
from mailsluice.limits.limits import (
    ASSUMED,
    OWN,
    Bound,
    Cap,
    Limit,
    Pace,
    Rates,
    Rules,
    bounds,
    limits,
    shared,
)
from mailsluice.limits.room import room
from mailsluice.limits.timekeeping import Look, Timekeeper, Timeline
from mailsluice.limits.usage import HOLDER_SECONDS, Estate, OpenStarts, Spread, Usage

__all__ = [
    "ASSUMED",
    "HOLDER_SECONDS",
    "OWN",
    "Bound",
    "CalendarLimit",
    "Cap",
    "DatabaseClock",
    "Estate",
    "Hold",
    "Limit",
    "Look",
    "OpenStarts",
    "Pace",
    "QuotaUse",
    "Rates",
    "Report",
    "Rules",
    "Spread",
    "Timekeeper",
    "Timeline",
    "Unit",
    "Usage",
    "bounds",
    "calendar_limits",
    "exchange",
    "give_out",
    "hold",
    "limits",
    "refuse_no_calendar",
    "room",
    "shared",
]
