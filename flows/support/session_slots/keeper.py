"""Acquire, renew and release the slots of one connection on the Prefect server.

One keeper asks for its connection, however many sessions wait, one request after the other. Leases
last a minute and are renewed every 20 seconds. A lease holds a single slot, since a lease can only
be released as a whole; a slot passes from one session to the next without a request. No process
holds every slot of a full limit: one that holds several releases one for a moment each minute.
While the server is away, sessions keep their slots, and after ten seconds new sessions open without
one: a server that is away costs exactness rather than the campaign.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from flows.support.session_slots.limit import LEASE_SECONDS, LimitState, SlotsUnavailableError
from flows.support.session_slots.notices import Notices
from flows.support.session_slots.patience import Patience
from flows.support.session_slots.sharing import Share
from flows.support.session_slots.slots import Slot, Slots

RENEW_SECONDS = LEASE_SECONDS / 3
LOOK_SECONDS = 3.0
_STARVING_LOOK_SECONDS = 1.0  # without any session
_STARVING_SECONDS = 5.0  # then the operator is told
_GIVE_BACK_SECONDS = 5.0  # so long the end of a campaign waits for the server


class SlotClient(Protocol):
    """What the keeper asks of `SlotLimit`; each call may raise SlotsUnavailableError."""

    async def standing(self, max_sessions: int) -> LimitState: ...
    async def acquire(self) -> UUID | None: ...
    async def renew(self, lease: UUID) -> bool: ...
    async def release(self, lease: UUID) -> None: ...
    async def clear(self) -> None: ...
    async def release_of_the_dead(self) -> None: ...
    async def close(self) -> None: ...


class SlotKeeper:
    """Keeps slots for as many sessions as want one, limit and block permitting."""

    def __init__(
        self,
        limit: SlotClient,
        max_sessions: int,
        notices: Notices,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limit = limit
        self._notices = notices
        self._clock = clock
        self._changed = asyncio.Event()
        self.slots = Slots(clock, self._changed.set)
        self._share = Share(self.slots, max_sessions, clock, chance)
        self._patience = Patience()
        self._looked_at = -math.inf
        self._closing = False

    def resize(self, max_sessions: int) -> None:
        """The block has another limit now."""
        if max_sessions != self._share.max_sessions:
            self._share.resize(max_sessions)
            self._changed.set()

    async def run(self) -> None:
        """Keep the slots until `close`; then give all back."""
        try:
            while not self._closing:
                self._changed.clear()
                delay = await self.step()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            await self._give_all_back()
        except Exception as error:
            self.slots.fail(error)  # nobody waits for a keeper that is no more
            raise
        finally:
            await self._limit.close()

    def close(self) -> None:
        """Take no more slots, and end `run`."""
        self._closing = True
        self._changed.set()

    async def step(self) -> float | None:
        """Do what is due; gives the seconds until something is due again, None for never."""
        if self._clock() >= self._patience.retry_at:
            try:
                await self._ask()
            except SlotsUnavailableError as error:
                self._unanswered(error)
        self._tell_of_starving()
        due_at = self._due_at()
        return max(0.0, due_at - self._clock()) if due_at < math.inf else None

    async def _ask(self) -> None:
        for slot in self.slots.all:
            if slot.ends_at <= self._clock():
                slot.is_recalled = True  # nobody gets it while it is given back
                await self._uncount(slot)
                self.slots.remove(slot)
        if self.slots.all or self.slots.waiting:
            await self._look()
            await self._renew()
            await self._fill()

    async def _look(self) -> None:
        """Read where the limit stands."""
        now = self._clock()
        if now < self._look_at:
            return
        if not self.slots.all:
            await self._limit.release_of_the_dead()
        before, found = self._share.standing, await self._limit.standing(self._share.max_sessions)
        self._looked_at = now
        self._answered()
        if before and before.id != found.id:  # made anew: our leases count nowhere
            for slot in self.slots.all:
                slot.lease = None
        counted = [slot for slot in self.slots.all if slot.lease]
        if counted and not found.is_active:
            for slot in counted:
                await self._uncount(slot)
            await self._limit.clear()
        self._notices.standing(found, self._share.max_sessions)
        self._share.see(found)

    async def _renew(self) -> None:
        for slot in self.slots.all:
            if slot.lease and slot.renew_at <= self._clock():
                if await self._limit.renew(slot.lease):
                    slot.renew_at = self._clock() + RENEW_SECONDS
                else:
                    slot.lease = None

    async def _fill(self) -> None:
        """Count the sessions that are not, then those that wait."""
        if not self._share.is_counted:
            self._grant_uncounted()
            return
        while self._share.may_take and not self._closing:
            uncounted = [slot for slot in self.slots.staying if not slot.lease]
            if not (uncounted or self._share.has_room):
                return
            lease = await self._limit.acquire()
            if lease is None:  # somebody was faster
                self._looked_at = self._clock()
                self._share.full()
                return
            self._share.took(1)
            slot = uncounted[0] if uncounted else self.slots.add()
            slot.lease, slot.renew_at = lease, self._clock() + RENEW_SECONDS

    def _grant_uncounted(self) -> None:
        while self._share.has_room:
            self.slots.add()

    async def _uncount(self, slot: Slot) -> None:
        if slot.lease:
            await self._limit.release(slot.lease)
            self._answered()
            slot.lease = None
            self._share.took(-1)

    async def _give_all_back(self) -> None:
        """What the server does not take within seconds expires."""
        give_up_at = self._clock() + _GIVE_BACK_SECONDS
        for slot in self.slots.all:
            while slot.lease and self._clock() < give_up_at:
                try:
                    await self._uncount(slot)
                except SlotsUnavailableError:
                    await asyncio.sleep(self._patience.failed(self._clock()))

    def _answered(self) -> None:
        self._patience.answered()
        self._notices.answered()

    def _unanswered(self, error: SlotsUnavailableError) -> None:
        now = self._clock()
        self._patience.failed(now)
        if self._patience.is_over(now) and self._share.has_room:
            self._notices.alone(error)
            self._grant_uncounted()

    def _tell_of_starving(self) -> None:
        if self.slots.all or not self.slots.waiting:
            self._notices.fed()
        elif self._clock() - self.slots.waiting_since >= _STARVING_SECONDS:
            self._notices.starving(self._share.standing)

    @property
    def _look_at(self) -> float:
        return self._looked_at + (LOOK_SECONDS if self.slots.all else _STARVING_LOOK_SECONDS)

    def _due_at(self) -> float:
        slots = self.slots.all
        if not slots and not self.slots.waiting:
            return math.inf
        due = [self._look_at, *(slot.ends_at for slot in slots)]
        due += [slot.renew_at for slot in slots if slot.lease]
        if self._share.pass_until > self._clock():
            due.append(self._share.pass_until)
        return max(self._patience.retry_at, min(due))
