"""Give out the next starts that all limits allow. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mailsluice.limits.limits import Limit, Rules
from mailsluice.limits.periods import periods
from mailsluice.limits.usage import HOLDER_SECONDS, PLAN_SECONDS, Usage, gap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_CATCH_UP_SECONDS = 0.25  # a late request may make up for the starts of so many seconds at once
_CATCH_UP_SHARE = 0.1  # of the shortest window, where that is less


class Report(NamedTuple):
    """The report of a holder to all limits that apply to it."""

    holder: str
    open: int
    """Its open starts."""
    replies: Sequence[float] | npt.NDArray[np.float64]
    """The moments of the replies since its last report, by the database's clock."""
    answered: int | None = None
    """The number of its replies in all."""
    stock: Sequence[float] | npt.NDArray[np.float64] = ()
    """The moments of its open starts that are not used yet, or earlier moments."""


def exchange(
    shared: Sequence[tuple[Usage, Rules]], report: Report, now: float, horizon: float, most: int
) -> tuple[list[float], float]:
    """Record a holder's report, and give out at most `most` starts to it: see `give_out`."""
    import numpy as np

    until = now + HOLDER_SECONDS
    for usage, rules in shared:
        usage.settle(now, rules)
        usage.report(report.holder, report.open, until, report.replies, rules, report.answered)
        usage.expire(now, rules)
        usage.plan(report.holder, report.stock)
    moments, next_at = give_out(shared, now, horizon, most)
    stock = np.append(report.stock, moments)
    for usage, rules in shared:
        open_ = report.open + len(moments)
        usage.report(report.holder, open_, until, (), rules, report.answered)
        usage.plan(report.holder, stock)
    return moments, next_at


def give_out(
    shared: Sequence[tuple[Usage, Rules]], now: float, horizon: float, most: int
) -> tuple[list[float], float]:
    """Give out at most `most` starts that all these rules allow, from `now` up to `horizon`.

    The even spacing of each usage advances; the caller has to report the starts as open.

    The slowest limits space the starts. Under a faster limit other holders may have been given
    starts up to the horizon, and those between them are free: the starts of a campaign's
    connections, each spaced by its share, alternate. So there the spacing may be ahead of time by
    as much; the window bounds their sum. Limits that connections draw on without shares are spaced
    for all of them, so that no connection is ahead of another one with faster limits.

    Returns:
        The moments of the starts, in order, and the moment at which the next one is possible
        (infinity: not before a reply).
    """
    import numpy as np

    ahead = horizon - now
    spaced = []
    for usage, rules in shared:
        usage.next_at = _caught_up(usage, rules, now, horizon) - usage.set_by
        is_in_turn = rules.is_common or is_slowest(usage, rules, shared)
        first = spaced_at(usage) - (0.0 if is_in_turn else ahead)
        seconds = gap(usage, rules)
        spaced.append((first, seconds))
        if seconds:  # further starts would be beyond the horizon
            most = min(most, max(0, int((horizon - first) / seconds) + 1))
    at = np.full(most + 1, now)
    for first, seconds in spaced:
        np.maximum(at, first + np.arange(len(at)) * seconds, out=at)
    for usage, rules in shared:
        for limit in rules.limits:
            np.maximum(at, room_at(usage, limit, len(at), now), out=at)
    _wait_for_periods(at, shared, now)
    count = min(most, int(np.searchsorted(at, horizon, side="right")))
    for usage, rules in shared:
        usage.next_at += count * gap(usage, rules)
    return at[:count].tolist(), float(at[count])


def is_slowest(usage: Usage, rules: Rules, shared: Sequence[tuple[Usage, Rules]]) -> bool:
    """Return whether no other of these rules spaces starts wider."""
    return all(gap(usage, rules) >= gap(*others) for others in shared)


def spaced_at(usage: Usage) -> float:
    """Return the next start of the even spacing, by the database's clock."""
    return usage.next_at + usage.set_by


def _caught_up(usage: Usage, rules: Rules, now: float, horizon: float) -> float:
    """Return the next start of the even spacing, for a request that may be late.

    Starts that were missed are made up for, up to a bound: at least one gap, since a request that
    waited for the spacing of another limit is not late. The result is never later than one gap
    after the last start that can have been given out.
    """
    if usage.next_at == -math.inf:
        return now
    shortest = min((limit.window_seconds for limit in rules.limits), default=math.inf)
    seconds = gap(usage, rules)
    late = max(seconds, min(_CATCH_UP_SECONDS, _CATCH_UP_SHARE * shortest))
    return min(max(spaced_at(usage), now - late), horizon + seconds)


def room_at(usage: Usage, limit: Limit, size: int, now: float) -> npt.NDArray[np.float64]:
    """Return when the window has room for the i-th of the next starts, for i in range(`size`).

    Minus infinity: there is room already; infinity: not before a reply.
    """
    import numpy as np

    replies = usage.replied.get(limit.window_seconds)
    before = usage.open_starts + (replies.total if replies else 0)
    if before + size <= limit.count:
        return np.full(size, -math.inf)
    have_to_leave = before + np.arange(size) - (limit.count - 1)
    at = np.where(have_to_leave > 0, math.inf, -math.inf)
    if replies:
        waits = have_to_leave > 0
        at[waits] = replies.room_at(have_to_leave[waits])
    np.minimum(at, _room_before(usage, limit, size, now - usage.set_by), out=at)
    return at + usage.set_by


def _room_before(usage: Usage, limit: Limit, size: int, now: float) -> npt.NDArray[np.float64]:
    """Return when there is room for the i-th start beside starts that are planned for later.

    There is room at a step where the window, from that step on, holds so many starts less than the
    limit. In steady time; infinity: not while starts are planned.
    """
    import numpy as np

    first = int(now // PLAN_SECONDS)
    planned = usage.planned_from(first)
    if not len(planned):
        return np.full(size, math.inf)
    replies = usage.replied.get(limit.window_seconds)
    later = planned.sum() - np.cumsum(planned)
    steps = np.arange(first, first + len(planned), dtype=np.float64) * PLAN_SECONDS
    held = usage.open_starts - later
    if replies:
        held += replies.total - replies.left_by(steps)
    free = np.minimum.accumulate((limit.count - held)[::-1])[::-1]
    step = np.searchsorted(free, np.arange(1, size + 1))
    return np.concatenate((steps, (math.inf,)))[step]


def _wait_for_periods(
    at: npt.NDArray[np.float64], shared: Sequence[tuple[Usage, Rules]], now: float
) -> None:
    """Delay the starts for which a period has no room until there may be room, in place."""
    known = [period for usage, rules in shared for period in periods(usage, rules, now)]
    for period in sorted(known, key=lambda period: period.start):
        beyond = at[period.room :]
        beyond[(beyond >= period.start) & (beyond < period.end)] = period.full_until
