"""Connections that nobody knows yet: caps a day that grow, and what they make of a campaign."""

from mailsluice.warm_up.warm_up import OverCap, WarmUp
from mailsluice.warm_up.warming import (
    DayOutcome,
    Warming,
    WarmUpDay,
    WarmUpState,
    held_back_days,
    warming,
)

__all__ = [
    "DayOutcome",
    "OverCap",
    "WarmUp",
    "WarmUpDay",
    "WarmUpState",
    "Warming",
    "held_back_days",
    "warming",
]
