"""Share a campaign's recipients on a connection that warms up out to days. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from mailsluice.assignment.daily_share import Counts, day_share
from mailsluice.assignment.warming import Warming, WarmUpState
from mailsluice.campaign.warm_up import OverCap


def warming(
    connection: str, count: int, state: WarmUpState, by_provider: Mapping[str, int] | None = None
) -> Warming:
    """Share `count` recipients of a connection that warms up out to days.

    `by_provider` counts those of the mailbox providers that have caps of their own.
    """
    names = [name for name in by_provider or {} if name in state.providers]
    counts = [(by_provider or {})[name] for name in names]
    parts = [state.providers[name] for name in names]
    days = list(_days(np.array([*counts, count - sum(counts)]), state, parts))
    providers = [
        _warming(connection, number, part, [(day, int(row[i])) for day, row in days], name)
        for i, (name, number, part) in enumerate(zip(names, counts, parts, strict=True))
    ]
    totals = [(day, int(row.sum())) for day, row in days]
    return replace(_warming(connection, count, state, totals), providers=tuple(providers))


def _warming(
    connection: str,
    count: int,
    state: WarmUpState,
    days: Sequence[tuple[date, int]],
    provider: str = "",
) -> Warming:
    with_mail = tuple((day, on_day) for day, on_day in days if on_day or day == state.today)
    held_back, last = state.held_back_days, max(state.outcomes, default=None)
    return Warming(
        connection,
        state.warm_up,
        {day: state.warm_up.cap_on(day, held_back) for day, _ in with_mail},
        with_mail,
        spilled=count - sum(on_day for _, on_day in with_mail),
        held_back_days=held_back,
        last=(last, state.outcomes[last]) if last else None,
        provider=provider,
    )


def _days(
    waiting: Counts, state: WarmUpState, parts: Sequence[WarmUpState]
) -> Iterator[tuple[date, Counts]]:
    """Fill the days up to their caps; only today if the other recipients spill.

    Yields each day with its recipients of each part, and of all other providers as the last.
    """
    rooms = [_Rooms(part) for part in parts]
    of_all = _Rooms(state)
    day = state.today
    while day == state.today or (waiting.any() and state.warm_up.over_cap is OverCap.HOLD):
        caps = waiting.copy()
        for i in np.flatnonzero(waiting[:-1]).tolist():
            caps[i] = rooms[i].on(day, int(waiting[i]))
        on_day = day_share(of_all.on(day, int(waiting.sum())), waiting, caps)
        yield day, on_day
        waiting = waiting - on_day
        day += timedelta(days=1)


def by_day(of: Warming) -> Counts:
    """Count recipients by provider and day, as (providers + 1, days + 1).

    The last row has those of all providers without caps of their own, and the last column those
    that spill.
    """
    column = {day: i for i, (day, _) in enumerate(of.days)}
    table = np.zeros((len(of.providers) + 1, len(column) + 1), np.int64)
    for row, part in enumerate((*of.providers, of)):
        for day, count in part.days:
            table[row, column[day]] = count
        table[row, -1] = part.spilled
    table[-1] -= table[:-1].sum(axis=0)
    return table


class _Rooms:
    """The room that other campaigns leave on each day, with what never changes worked out once."""

    def __init__(self, state: WarmUpState) -> None:
        self._state = state
        self._held_back = state.held_back_days

    def on(self, day: date, wanted: int) -> int:
        """Return how many of the wanted recipients have room on a day."""
        cap = self._state.warm_up.cap_on(day, self._held_back)
        return wanted if cap is None else max(cap - self._state.taken.get(day, 0), 0)
