"""How many of a limit's slots this process may hold, and which it releases. Calls no server."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from flows.support.session_slots.limit import LimitState
from flows.support.session_slots.slots import Slot, Slots

TURN_SECONDS = 60.0  # how often a process with several slots of a full limit releases one
PASS_SECONDS = 1.5  # how long that slot is left to others; those without a slot poll more often


def surplus(limit: int, taken: int, held: int, uniform: float) -> int:
    """How many of its slots a process releases where more are taken than the limit allows.

    That is the process's part of the excess. A fraction is rounded up with that probability
    (`uniform` is a number from 0 to 1), so that when the limit is lowered by one, processes with
    one session each do not all end theirs.
    """
    if taken <= limit or not held:
        return 0
    part = (taken - limit) * held / max(taken, held)
    return min(held, int(part) + (uniform < part % 1))


class Share:
    """The slots for this process: the lower of block and limit, less those that others hold."""

    def __init__(
        self,
        slots: Slots,
        max_sessions: int,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._chance = chance
        self._turn_since = clock()
        self.max_sessions = max_sessions
        self.limit_state: LimitState | None = None
        """The limit as it was read last; None before that."""
        self.pass_until = -math.inf
        """Until this moment a released slot is left to other processes."""

    def resize(self, max_sessions: int) -> None:
        """Use the block's new number of sessions; recall the slots above it."""
        self.max_sessions = max_sessions
        self._recall_excess()

    def update(self, limit_state: LimitState) -> None:
        """Use the limit's new state; recall the slots above it."""
        self.limit_state = limit_state
        self._recall_excess()
        self._pass_on()

    def add_taken(self, count: int) -> None:
        """Note that so many slots were acquired, or released, since the limit was read."""
        if self.limit_state:
            taken = self.limit_state.taken + count
            self.limit_state = replace(self.limit_state, taken=taken)

    def set_full(self) -> None:
        """Note that other processes took the free slots."""
        if self.limit_state:
            self.add_taken(self.limit_state.limit - self.limit_state.taken)

    @property
    def is_counted(self) -> bool:
        """Whether the server counts sessions; it does not while the limit is deactivated."""
        return self.limit_state is not None and self.limit_state.is_active

    @property
    def most(self) -> int:
        """How many slots this process may hold at most."""
        if self.limit_state and self.limit_state.is_active:
            return min(self.max_sessions, self.limit_state.limit)
        return self.max_sessions

    @property
    def may_have_more(self) -> bool:
        return len(self._slots.all) < self.most

    @property
    def has_room(self) -> bool:
        """Whether a session waits for a slot, and one more is allowed."""
        return self._slots.waiting > 0 and self.may_have_more

    @property
    def may_take(self) -> bool:
        """Whether a slot may be acquired now."""
        is_others_turn = self._slots.all and self._clock() < self.pass_until
        return bool(self.limit_state and not self.limit_state.is_full and not is_others_turn)

    def _recall_excess(self) -> None:
        too_many = len(self._slots.staying) - self.most
        if self.limit_state and self.limit_state.is_active:
            limit, taken = self.limit_state.limit, self.limit_state.taken
            leaving = sum(_counts(slot) for slot in self._slots.all if slot.is_recalled)
            held = sum(_counts(slot) for slot in self._slots.all)
            too_many = max(too_many, surplus(limit, taken, held, self._chance()) - leaving)
        self._slots.recall(too_many)

    def _pass_on(self) -> None:
        """Release one slot from time to time, so that a long campaign does not keep all of them."""
        now = self._clock()
        is_full = self.limit_state is not None and self.limit_state.is_full
        if not is_full or sum(_counts(slot) for slot in self._slots.staying) < 2:
            self._turn_since = now
        elif now - self._turn_since >= TURN_SECONDS:
            self._turn_since, self.pass_until = now, now + PASS_SECONDS
            self._slots.recall(1)


def _counts(slot: Slot) -> bool:
    return slot.lease is not None
