"""Make the lanes of one connection, each with starts under an account of its own.

A lane asks for starts when its turn comes, not before, and only so many lanes ask at once: this
bounds the rows of the limits' usage that a transaction changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from mailsluice.delivery.journal import Journal, account_name, holder
from mailsluice.delivery.lane import Lane
from mailsluice.delivery.slowdown import Slowdown
from mailsluice.delivery.starts import StartSource, StartStock
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.limits import Rules
from mailsluice.store import Ask, Claimed, Starts

_MOST_ASKING = 128
_REPORT_SECONDS = (0.25, 2.0)  # replies are reported after so long
_REPORT_SHARE = 0.02  # ... or after this share of a window between the two
_KEPT_SECONDS = 30.0  # a lane keeps its starts at least so long for its turn
_KEPT_TURNS = 3.0  # ... and so many messages of the connection
_SPARE_STARTS = 4


@dataclass(frozen=True, slots=True)
class LaneHooks:
    """The calls of a lane to the lanes that it is one of; `Lane` says what each does."""

    claim: Callable[[int], Awaitable[ClaimedBatch]]
    claimed: Callable[[Lane, Sequence[Claimed]], None]
    room: Callable[[Lane], int | None] | None


class LaneMaker:
    """Makes lanes whose recipients one connection sends to."""

    def __init__(
        self, connection: str, source: StartSource, journal: Journal, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._source = source
        self._turns = _Turns(source)
        self._journal = journal
        self._clock = clock

    def main_lane(
        self,
        slowdown: Slowdown,
        sessions: int,
        *,
        changed: Callable[[], None],
        wanted: Callable[[], int],
        hooks: LaneHooks,
    ) -> Lane:
        """Make the main lane, whose first claim has two recipients for each session."""
        starts = self._stock(self._connection, self._source, changed, wanted)
        return self._lane(0, starts, slowdown, hooks, size=2 * sessions)

    def provider_lane(
        self, number: int, provider: str, *, answered: Callable[[], None], hooks: LaneHooks
    ) -> Lane:
        """Make the lane of a mailbox provider, given by its number and name.

        The lane wants starts for its recipients and those of the next claim.
        """
        account = account_name(self._connection, provider)

        def wanted() -> int:
            return _SPARE_STARTS + 2 * len(lane.rows)

        starts = self._stock(account, self._turns, answered, wanted)
        lane = self._lane(number, starts, Slowdown(), hooks)
        return lane

    def _stock(
        self,
        account: str,
        source: StartSource,
        changed: Callable[[], None],
        wanted: Callable[[], int],
    ) -> StartStock:
        return StartStock(
            holder(self._journal.id, self._connection),
            source,
            clock=self._clock,
            changed=changed,
            note=self._journal.account(account),
            wanted=wanted,
        )

    def _lane(
        self,
        number: int,
        starts: StartStock,
        slowdown: Slowdown,
        hooks: LaneHooks,
        *,
        size: int = 0,
    ) -> Lane:
        return Lane(
            number,
            starts,
            slowdown,
            claim=hooks.claim,
            clock=self._clock,
            claimed=hooks.claimed,
            size=size,
            room=hooks.room,
        )


def follow(lane: Lane, rules: Mapping[str, Rules], connection_per_second: float) -> None:
    """Have the lane of a mailbox provider follow these limits from now on.

    `connection_per_second` is the pace of the whole connection, at which the lane gets its turns.
    """
    starts = lane.starts
    starts.follow(rules)
    starts.stale_seconds = max(_KEPT_SECONDS, _KEPT_TURNS / connection_per_second)
    windows = (limit.window_seconds for rule in rules.values() for limit in rule.limits)
    least, most = _REPORT_SECONDS
    starts.tend_seconds = min(most, max(least, _REPORT_SHARE * min(windows, default=0.0)))
    lane.slowdown.limit_per_second = starts.per_second


class _Turns:
    """Lets only so many lanes ask for starts at once. Implements `StartSource`."""

    def __init__(self, source: StartSource) -> None:
        self._source = source
        self._turns = asyncio.Semaphore(_MOST_ASKING)

    async def reserve(self, ask: Ask) -> Starts:
        async with self._turns:
            return await self._source.reserve(ask)
