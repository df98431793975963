"""How many of a limit's slots this process may hold, and which it releases. Calls no server."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from flows.support.session_slots.limit_state import HostLimit, LimitState

PASS_SECONDS = 1.5  # how long a slot that was passed on is left to others


@dataclass(slots=True)
class Lease:
    """Slots that the server counts for this process; a lease is released as a whole."""

    id: UUID
    slots: int
    renew_at: float


def kept(leases: Iterable[Lease], most: int) -> list[Lease]:
    """The leases that fit into so many slots, the largest first."""
    keeping: list[Lease] = []
    for lease in sorted(leases, key=lambda lease: lease.slots, reverse=True):
        if lease.slots <= most:
            keeping.append(lease)
            most -= lease.slots
    return keeping


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


def passed_on(held: int, used: int, other_holds: int, other_wants: int) -> int:
    """How many slots a process passes on to another one, when no slot is free.

    These are the slots that it does not use, as far as they are wanted. Where it uses all, it is
    one slot, if it still holds no fewer than the other process then.
    """
    if held > used:
        return min(held - used, max(0, other_wants - other_holds))
    return int(held >= other_holds + 2)


def sessions_of(max_sessions: int, shards: int) -> int:
    """How many sessions each of so many processes may open; all together perhaps a few more."""
    return -(-max_sessions // shards)


class Share:
    """The slots for this process: the lower of block and limit, less those that others get."""

    def __init__(
        self,
        max_sessions: int,
        clock: Callable[[], float],
        chance: Callable[[], float],
        shards: int = 1,
    ) -> None:
        """`shards` is how many processes divide the block's sessions, each taking its part."""
        self._clock = clock
        self._shards = shards
        self._chance = chance
        self._cap = 0
        self.cap_until = -math.inf
        """Until this moment the process holds no more slots than it was told to."""
        self.max_sessions = max_sessions
        self.host: HostLimit | None = None
        self.limit_state: LimitState | None = None
        """The limit as it is known; None before it was read."""

    def update(self, limit_state: LimitState, held: int) -> None:
        """Use the limit's state, as it was read; this process holds so many of its slots."""
        self.limit_state = limit_state
        fullest = limit_state.fullest or limit_state
        limit, taken = fullest.limit, fullest.taken
        if limit_state.is_active and (excess := surplus(limit, taken, held, self._chance())):
            self.hold_at_most(held - excess)

    def hold_at_most(self, slots: int) -> None:
        """Hold no more slots than this, until others could take the released ones."""
        self._cap, self.cap_until = min(slots, self.ceiling), math.inf

    def has_released(self) -> None:
        """Leave what was released to others, for a moment."""
        if self.cap_until == math.inf:
            self.cap_until = self._clock() + PASS_SECONDS

    def add_taken(self, count: int) -> None:
        """Note that so many slots were acquired, or released, since the limit was read."""
        if self.limit_state:
            taken = self.limit_state.taken + count
            self.limit_state = replace(self.limit_state, taken=taken)

    @property
    def is_counted(self) -> bool:
        """Whether the server counts sessions; it does not while the limit is deactivated."""
        return self.limit_state is not None and self.limit_state.is_active

    @property
    def most(self) -> int:
        """How many sessions this process may have at most."""
        part = min(self.of_block, sessions_of(self.max_sessions, self._shards))
        if self.limit_state and self.limit_state.is_active:
            return min(part, self.limit_state.limit)
        return part

    @property
    def of_block(self) -> int:
        """How many sessions the block allows."""
        return min(self.max_sessions, self.host.sessions) if self.host else self.max_sessions

    @property
    def ceiling(self) -> int:
        """How many slots this process may hold now."""
        return min(self.most, self._cap) if self._clock() < self.cap_until else self.most

    @property
    def free(self) -> int:
        """How many slots nobody holds, as far as this process knows."""
        return max(0, self.limit_state.limit - self.limit_state.taken) if self.limit_state else 0
