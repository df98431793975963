"""How many recipients of a pool a connection may claim: those that it can send to soon.

A recipient that is claimed too early delays the end of the campaign, because another connection
might have sent to it meanwhile. So a connection claims about half a second ahead, and what turns
out to wait for longer returns to the pool. While a connection cannot send for long, it only asks
now and then whether recipients are left, to know whether it is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from mailsluice.delivery.lane import Lane
from mailsluice.delivery.pool import LOOK_SECONDS, Sessions
from mailsluice.delivery.store_requests import ClaimedBatch

AHEAD_SECONDS = 0.5
"""Recipients are claimed so long before they can be sent to."""
FAR_SECONDS = 1.0
"""Recipients that cannot be sent to for longer than this return to the pool."""
_FAR_LOOK_SECONDS = 5.0
"""The longest pause between two looks whether recipients are left."""


class PoolRoom:
    """The room of one connection's lanes. Used on one event loop."""

    def __init__(self, clock: Callable[[], float], sessions: Sessions) -> None:
        """`sessions` are those that take the connection's recipients."""
        self._clock = clock
        self._sessions = sessions

    def of(self, lane: Lane, waiting: int) -> int | None:
        """How many recipients a lane may claim beside the `waiting` ones. Sets `lane.low`.

        None: none now. 0: none for long, so that the lane only asks whether any are left.
        """
        now = self._clock()
        at = self._at(lane, now)
        if at > now + AHEAD_SECONDS:
            return 0 if self.is_far(at) else None
        most = self.pace(lane) + 1
        if not lane.number:
            most = min(most, self._sessions.capacity())
        elif most == math.inf:
            most = max(1, self._sessions.capacity())
        lane.low = int(most) // 2
        room = int(most) - waiting
        return room if room > 0 else None

    def pace(self, lane: Lane) -> float:
        """The recipients that a lane's limits allow in the time for which it claims ahead."""
        return lane.per_second(self._clock()) * AHEAD_SECONDS

    def is_far(self, at: float) -> bool:
        """Whether recipients that can be sent to at this moment are to return to the pool."""
        return self._clock() + FAR_SECONDS < at < math.inf

    def next_claim_at(self, lane: Lane) -> float:
        """When a lane that claims for itself, and has no recipients, looks for some."""
        now = self._clock()
        if lane.due_at > now:
            return lane.due_at
        at = self._at(lane, now)
        return at if now < at < math.inf else now + LOOK_SECONDS

    def looked(self, lane: Lane, batch: ClaimedBatch) -> ClaimedBatch:
        """The answer to a lane that asked whether recipients are left: when it is to ask again."""
        now = self._clock()
        wait = min(_FAR_LOOK_SECONDS, max(LOOK_SECONDS, self._at(lane, now) - now))
        due, look = batch.next_due_seconds, batch.look_in_seconds
        return replace(
            batch,
            next_due_seconds=None if due is None else max(due, wait),
            look_in_seconds=None if look is None else wait,
        )

    def wanted(self) -> int:
        """How many starts the connection can use soon.

        The connections of a pool share the campaign's limits: others can use the starts that this
        one does not ask for.
        """
        return max(1, self._sessions.capacity())

    def _at(self, lane: Lane, now: float) -> float:
        """When a lane can send; infinity: not known."""
        held_until = self._sessions.held_until(now)
        return max(held_until, lane.ready_at(now)) if lane.number else held_until
