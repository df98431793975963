"""Tell which rule delays the next start. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.limits.calendar_limit import CalendarLimit
from mailsluice.limits.granting import is_slowest, room_at, spaced_at
from mailsluice.limits.limits import Cap, Limit, Pace, Rules
from mailsluice.limits.periods import Period, periods
from mailsluice.limits.usage import Usage, gap


@dataclass(frozen=True, slots=True)
class Hold:
    """A rule that delays the next start."""

    key: str
    """The key of the rule in the argument of `hold`."""
    rule: Limit | Cap | CalendarLimit | Pace
    until: float
    """The moment of the next start, by the clock of `now`; infinity: not before a reply."""


def hold(shared: Mapping[str, tuple[Usage, Rules]], now: float) -> Hold | None:
    """Return the rule that delays the next start longest, or None if it may go now.

    `shared` is in the state that `give_out` leaves, with the given-out starts reported as open.
    """
    holds = [
        wait
        for key, (usage, rules) in shared.items()
        for wait in _holds(key, usage, rules, now, is_slowest(usage, rules, list(shared.values())))
    ]
    latest = max(holds, key=lambda wait: wait.until, default=None)
    at = max(now, latest.until) if latest else now
    for period, key in _full_periods(shared, now):
        if period.start <= at < period.end:
            at = period.full_until
            latest = Hold(key, period.rule, at)
    return latest if latest and latest.until > now else None


def _holds(key: str, usage: Usage, rules: Rules, now: float, is_slowest: bool) -> list[Hold]:
    """List the full windows, and the even spacing, which the slowest limit determines."""
    full = [limit for limit in rules.limits if _is_full(usage, limit)]
    holds = [Hold(key, limit, float(room_at(usage, limit, 1, now)[0])) for limit in full]
    if is_slowest and gap(usage, rules):
        slowest = min(
            rules.limits,
            key=lambda limit: limit.count / limit.window_seconds,
            default=Pace(usage.spacing),
        )
        holds.append(Hold(key, slowest, spaced_at(usage)))
    return holds


def _is_full(usage: Usage, limit: Limit) -> bool:
    replies = usage.replied.get(limit.window_seconds)
    return usage.open_starts + (replies.total if replies else 0) >= limit.count


def _full_periods(
    shared: Mapping[str, tuple[Usage, Rules]], now: float
) -> list[tuple[Period, str]]:
    full = [
        (period, key)
        for key, (usage, rules) in shared.items()
        for period in periods(usage, rules, now)
        if not period.room
    ]
    return sorted(full, key=lambda pair: pair[0].start)
