"""How many of a limit's slots this process may have, and which it gives up. Asks nobody."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from flows.support.session_slots.limit import LimitState
from flows.support.session_slots.slots import Slot, Slots

TURN_SECONDS = 60.0  # who holds several of a full limit leaves one to others so often
PASS_SECONDS = 1.5  # who has none looks more often than that


def surplus(limit: int, taken: int, held: int, uniform: float) -> int:
    """How many of the slots it holds a process gives up where more are taken than the limit.

    Its part of what is too many. A fraction is one more by that chance (`uniform` is a number from
    0 to 1): processes that hold one each do not all end theirs for a limit lowered by one.
    """
    if taken <= limit or not held:
        return 0
    part = (taken - limit) * held / max(taken, held)
    return min(held, int(part) + (uniform < part % 1))


class Share:
    """The part of this process: the lower of block and limit, as far as others leave it."""

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
        self.standing: LimitState | None = None
        """As last seen; None where it never was."""
        self.pass_until = -math.inf
        """Until then others may take what was left to them."""

    def resize(self, max_sessions: int) -> None:
        """The block has another limit now; sessions above it are to end."""
        self.max_sessions = max_sessions
        self._shed()

    def see(self, standing: LimitState) -> None:
        """This is where the limit stands; sessions above it are to end."""
        self.standing = standing
        self._shed()
        self._pass_on()

    def took(self, number: int) -> None:
        """So many were taken, or given back, since the limit was seen."""
        if self.standing:
            self.standing = replace(self.standing, taken=self.standing.taken + number)

    def full(self) -> None:
        """Others took what was free."""
        if self.standing:
            self.took(self.standing.limit - self.standing.taken)

    @property
    def is_counted(self) -> bool:
        """Whether the server counts sessions: not for a limit that is deactivated."""
        return self.standing is not None and self.standing.is_active

    @property
    def most(self) -> int:
        """How many sessions this process may have."""
        if self.standing and self.standing.is_active:
            return min(self.max_sessions, self.standing.limit)
        return self.max_sessions

    @property
    def may_have_more(self) -> bool:
        return len(self._slots.all) < self.most

    @property
    def has_room(self) -> bool:
        """Whether somebody waits, and one more session would not be one too many."""
        return self._slots.waiting > 0 and self.may_have_more

    @property
    def may_take(self) -> bool:
        """Whether one may be taken from the server now."""
        is_others_turn = self._slots.all and self._clock() < self.pass_until
        return bool(self.standing and not self.standing.is_full and not is_others_turn)

    def _shed(self) -> None:
        too_many = len(self._slots.staying) - self.most
        if self.standing and self.standing.is_active:
            limit, taken = self.standing.limit, self.standing.taken
            leaving = sum(_counts(slot) for slot in self._slots.all if slot.is_recalled)
            held = sum(_counts(slot) for slot in self._slots.all)
            too_many = max(too_many, surplus(limit, taken, held, self._chance()) - leaving)
        self._slots.recall(too_many)

    def _pass_on(self) -> None:
        """Leave one slot to others from time to time: a campaign of hours must not keep all."""
        now = self._clock()
        is_full = self.standing is not None and self.standing.is_full
        if not is_full or sum(_counts(slot) for slot in self._slots.staying) < 2:
            self._turn_since = now
        elif now - self._turn_since >= TURN_SECONDS:
            self._turn_since, self.pass_until = now, now + PASS_SECONDS
            self._slots.recall(1)


def _counts(slot: Slot) -> bool:
    return slot.lease is not None
