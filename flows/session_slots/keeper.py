"""Keeps the slots of one connection on the server: takes, renews and gives them back.

The one that asks, however many sessions wait; one call after the other, for a server on SQLite
refuses what comes at once. While the server is away, sessions keep their slots, and after
ALONE_SECONDS new ones are opened without.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from flows.session_slots.limit import LEASE_SECONDS, SlotsUnavailableError, Standing
from flows.session_slots.notices import Notices
from flows.session_slots.sharing import surplus
from flows.session_slots.slots import Slot, Slots

RENEW_SECONDS = LEASE_SECONDS / 3
LOOK_SECONDS = 3.0
STARVING_LOOK_SECONDS = 1.0  # without any session
STARVING_SECONDS = 5.0  # then the operator is told
ALONE_SECONDS = 10.0  # so long an opening waits for a server that is away
_FIRST_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.1, 5.0


class Limit(Protocol):
    """What the keeper asks of `SlotLimit`; each call may raise SlotsUnavailableError."""

    async def standing(self, max_sessions: int) -> Standing: ...
    async def acquire(self) -> UUID | None: ...
    async def renew(self, lease: UUID) -> bool: ...
    async def release(self, lease: UUID) -> None: ...
    async def clear(self) -> None: ...
    async def release_of_the_dead(self) -> None: ...
    async def close(self) -> None: ...


class SlotKeeper:
    """Keeps slots for as many sessions as want one, the lower of limit and block permitting."""

    def __init__(
        self,
        limit: Limit,
        max_sessions: int,
        notices: Notices,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limit = limit
        self._max_sessions = max_sessions
        self._notices = notices
        self._clock = clock
        self._chance = chance
        self._changed = asyncio.Event()
        self.slots = Slots(clock, self._changed.set)
        self._standing: Standing | None = None
        self._looked_at = -math.inf
        self._away_since = math.inf
        self._failures = 0
        self._retry_at = -math.inf
        self._closing = False
        self.is_prepared = asyncio.Event()
        """Set when what is free was taken ahead."""

    def resize(self, max_sessions: int) -> None:
        """The block has another limit now."""
        self._max_sessions = max_sessions
        self._shed()
        self._changed.set()

    async def run(self) -> None:
        """Keep the slots until `close`; then give all back.

        First takes ahead what is free, for the sessions to come.
        """
        try:
            await self.step(ahead=True)
            self.is_prepared.set()
            while not self._closing:
                self._changed.clear()
                delay = await self.step()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), delay)
            with suppress(SlotsUnavailableError):  # then they expire
                for slot in self.slots.all:
                    await self._uncount(slot)
        except Exception as error:
            self.slots.fail(error)  # nobody waits for a keeper that is no more
            raise
        finally:
            await self._limit.close()

    def close(self) -> None:
        """Take no more slots, and end `run`."""
        self._closing = True
        self._changed.set()

    async def step(self, *, ahead: bool = False) -> float | None:
        """Do what is due; gives the seconds until something is due again, None for never.

        `ahead` takes what is free before anybody waits for it.
        """
        if self._clock() >= self._retry_at:
            try:
                await self._ask(ahead)
            except SlotsUnavailableError as error:
                self._unanswered(error)
            else:
                self._away_since, self._failures = math.inf, 0
                self._notices.answered()
        self._tell_of_starving()
        due_at = self._due_at()
        return max(0.0, due_at - self._clock()) if due_at < math.inf else None

    # The server

    async def _ask(self, ahead: bool) -> None:
        for slot in self.slots.all:
            if slot.ends_at <= self._clock():
                slot.is_recalled = True  # nobody gets it while it is given back
                await self._uncount(slot)
                self.slots.remove(slot)
        if ahead or self.slots.all or self.slots.waiting:
            await self._look()
            await self._renew()
            await self._fill(ahead)

    async def _uncount(self, slot: Slot) -> None:
        if slot.lease:
            await self._limit.release(slot.lease)
            slot.lease = None
            self._took(-1)

    async def _look(self) -> None:
        """Read where the limit stands; sessions above it are to end."""
        now = self._clock()
        if now < self._look_at:
            return
        if not self.slots.all:
            await self._limit.release_of_the_dead()
        before = self._standing
        self._standing = await self._limit.standing(self._max_sessions)
        self._looked_at = now
        if before and before.id != self._standing.id:  # made anew: our leases count nowhere
            for slot in self.slots.all:
                slot.lease = None
        if not self._standing.is_active:
            await self._uncount_all()
        self._notices.standing(self._standing, self._max_sessions)
        self._shed()

    async def _uncount_all(self) -> None:
        counted = [slot for slot in self.slots.all if slot.lease]
        for slot in counted:
            await self._uncount(slot)
        if counted:
            await self._limit.clear()

    async def _renew(self) -> None:
        for slot in self.slots.all:
            if slot.lease and slot.renew_at <= self._clock():
                if await self._limit.renew(slot.lease):
                    slot.renew_at = self._clock() + RENEW_SECONDS
                else:
                    slot.lease = None

    async def _fill(self, ahead: bool) -> None:
        """Count the sessions that are not, then those that wait."""
        if self._standing and not self._standing.is_active:
            self._grant_uncounted()
            return
        while self._standing and not self._standing.is_full and not self._closing:
            uncounted = [slot for slot in self.slots.staying if not slot.lease]
            if not (uncounted or self._has_room or (ahead and self._may_have_more)):
                return
            lease = await self._limit.acquire()
            if lease is None:  # somebody was faster
                self._took(self._standing.limit - self._standing.taken)
                return
            self._took(+1)
            slot = uncounted[0] if uncounted else self.slots.add()
            slot.lease, slot.renew_at = lease, self._clock() + RENEW_SECONDS

    def _took(self, number: int) -> None:
        if self._standing:
            self._standing = replace(self._standing, taken=self._standing.taken + number)

    def _unanswered(self, error: SlotsUnavailableError) -> None:
        now = self._clock()
        self._away_since = min(self._away_since, now)
        delay = _FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 10)
        self._failures += 1
        self._retry_at = now + min(delay, _MAX_RETRY_SECONDS)
        if now >= self._alone_at and self._has_room:
            self._notices.alone(error)
            self._grant_uncounted()

    # Decisions

    @property
    def _most(self) -> int:
        """How many sessions this process may have: the lower of block and limit, as last seen."""
        if self._standing and self._standing.is_active:
            return min(self._max_sessions, self._standing.limit)
        return self._max_sessions

    @property
    def _has_room(self) -> bool:
        """Whether somebody waits, and one more session would not be one too many."""
        return self.slots.waiting > 0 and self._may_have_more

    @property
    def _may_have_more(self) -> bool:
        return len(self.slots.all) < self._most

    def _grant_uncounted(self) -> None:
        while self._has_room:
            self.slots.add()

    def _shed(self) -> None:
        staying = self.slots.staying
        too_many = len(staying) - self._most
        if self._standing and self._standing.is_active:
            counted = sum(slot.lease is not None for slot in self.slots.all)
            leaving = sum(slot.lease is not None for slot in self.slots.all if slot.is_recalled)
            limit, taken = self._standing.limit, self._standing.taken
            part = surplus(limit, taken, counted, self._chance()) - leaving
            too_many = max(too_many, part)
        self.slots.recall(too_many)

    def _tell_of_starving(self) -> None:
        if self.slots.all or not self.slots.waiting:
            self._notices.fed()
        elif self._clock() - self.slots.waiting_since >= STARVING_SECONDS:
            self._notices.starving(self._standing)

    @property
    def _alone_at(self) -> float:
        return self._away_since + ALONE_SECONDS

    @property
    def _look_at(self) -> float:
        wait = LOOK_SECONDS if self.slots.all else STARVING_LOOK_SECONDS
        return self._looked_at + wait

    def _due_at(self) -> float:
        slots = self.slots.all
        if not slots and not self.slots.waiting:
            return math.inf
        renewals = [slot.renew_at for slot in slots if slot.lease]
        ends = [slot.ends_at for slot in slots]
        return max(self._retry_at, min([self._look_at, *renewals, *ends]))
