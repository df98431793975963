"""Which rule the next start waits for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.limits.limits import Cap, Limit, Rules
from mailsluice.limits.usage import Usage, room_at, spaced_at


@dataclass(frozen=True, slots=True)
class Hold:
    """A rule that the next start waits for."""

    key: str
    """Under which the rule was given."""
    rule: Limit | Cap
    until: float
    """The moment of the next start, by the clock of `now`; infinity: not before a reply."""


def hold(shared: Mapping[str, tuple[Usage, Rules]], now: float) -> Hold | None:
    """The rule that allows the next start latest; None where it may go now.

    `shared` as `give_out` has left it, what it gave out reported as open.
    """
    waits = [one for key, (usage, rules) in shared.items() for one in _waits(key, usage, rules)]
    latest = max(waits, key=lambda one: one.until, default=None)
    at = max(now, latest.until) if latest else now
    for cap, key in _full_caps(shared):
        if cap.start <= at < cap.end:
            latest, at = Hold(key, cap, cap.end), cap.end
    return latest if latest and latest.until > now else None


def _waits(key: str, usage: Usage, rules: Rules) -> list[Hold]:
    """What each limit says, its even spacing included."""
    full = [one for one in rules.limits if _is_full(usage, one)]
    found = [Hold(key, one, float(room_at(usage, one, 1)[0])) for one in full]
    if rules.limits:
        slowest = min(rules.limits, key=lambda one: one.count / one.window_seconds)
        found.append(Hold(key, slowest, spaced_at(usage)))
    return found


def _is_full(usage: Usage, limit: Limit) -> bool:
    replies = usage.replied.get(limit.window_seconds, {}).values()
    return usage.open_starts + sum(replies) >= limit.count


def _full_caps(shared: Mapping[str, tuple[Usage, Rules]]) -> list[tuple[Cap, str]]:
    full = [
        (cap, key)
        for key, (usage, rules) in shared.items()
        for cap in rules.caps
        if usage.capped.get(cap.start, 0) + usage.open_starts >= cap.count
    ]
    return sorted(full, key=lambda one: one[0].start)
