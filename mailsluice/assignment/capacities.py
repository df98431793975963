"""Compute which part of a campaign each connection sends, where all of them are busy to the end.

With the strategy `throughput` nobody decides this before: connections claim what they can send. The
arithmetic says what that comes to, by the limits that are known. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from mailsluice.campaign.estimate import HORIZON
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.campaign.window_estimate import Meter
from mailsluice.limits import QuotaUse

_STEPS = 50


@dataclass(frozen=True, slots=True)
class Capacity:
    """How fast one connection can send."""

    per_second: float
    """By its lowest limit, evenly paced; or as assumed, where there is none."""
    warm_up: WarmUp = field(default_factory=WarmUp)
    quotas: Sequence[QuotaUse] = ()
    """By the calendar, as they are used at the beginning."""


def computed_shares(
    capacities: Mapping[str, Capacity],
    recipients: int,
    starts_at: datetime,
    window: SendingWindow,
    per_second: float,
) -> dict[str, Decimal]:
    """Return each connection's share of the recipients, as a fraction; together 1.

    Args:
        capacities: The connections.
        recipients: How many there are.
        starts_at: The moment at which the campaign begins.
        window: When mail may go at all.
        per_second: The limit of the whole campaign; infinity: none.
    """
    sent = dict.fromkeys(capacities, 0.0)
    at, last = window.opens_at(starts_at), starts_at + HORIZON
    used = dict.fromkeys(capacities, 0.0)
    meters = {name: [Meter(quota) for quota in one.quotas] for name, one in capacities.items()}
    day = at.date()
    while sum(sent.values()) < recipients and at < last:
        if at.date() != day:
            day, used = at.date(), dict.fromkeys(capacities, 0.0)
        resets = [meter.ends_at(at) for known in meters.values() for meter in known]
        closes = min([window.closes_at(at) or last, _midnight(at), *resets])
        seconds = (closes - at).total_seconds()
        left = recipients - sum(sent.values())
        rooms = {
            name: min([_room(one.warm_up, at, used[name]), *(meter.room for meter in meters[name])])
            for name, one in capacities.items()
        }
        amounts = _amounts(capacities, rooms, seconds, per_second)
        if sum(amounts.values()) > left:
            amounts = _filled(capacities, rooms, seconds, per_second, left)
        for name, amount in amounts.items():
            sent[name] += amount
            used[name] += amount
            for meter in meters[name]:
                meter.room -= amount
        at = window.opens_at(closes)
    return _fractions(sent, capacities)


def _amounts(
    capacities: Mapping[str, Capacity],
    rooms: Mapping[str, float],
    seconds: float,
    per_second: float,
) -> dict[str, float]:
    """Return what each connection sends within so many seconds, and within its room."""
    able = {name: min(one.per_second * seconds, rooms[name]) for name, one in capacities.items()}
    total = sum(able.values())
    scale = min(1.0, per_second * seconds / total) if total else 1.0
    return {name: amount * scale for name, amount in able.items()}


def _filled(
    capacities: Mapping[str, Capacity],
    rooms: Mapping[str, float],
    seconds: float,
    per_second: float,
    left: float,
) -> dict[str, float]:
    """Return what each connection has sent when nobody is left, by bisection."""
    low, high = 0.0, seconds
    for _ in range(_STEPS):
        middle = (low + high) / 2
        is_enough = sum(_amounts(capacities, rooms, middle, per_second).values()) >= left
        low, high = (low, middle) if is_enough else (middle, high)
    return _amounts(capacities, rooms, high, per_second)


def _room(warm_up: WarmUp, at: datetime, used: float) -> float:
    cap = warm_up.cap_on(warm_up.today(at))
    return float("inf") if cap is None else max(0.0, cap - used)


def _midnight(at: datetime) -> datetime:
    """The end of a day. Caps change with the days of their own time zone, some hours later."""
    next_day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return next_day + timedelta(days=1)


def _fractions(sent: Mapping[str, float], capacities: Mapping[str, Capacity]) -> dict[str, Decimal]:
    weights = sent if any(sent.values()) else {n: one.per_second for n, one in capacities.items()}
    total = sum(weights.values())
    return {name: Decimal(weight / total) for name, weight in weights.items()}
