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
_STARVING_LOOK_SECONDS = 1.0  # while the process has no session
_STARVING_SECONDS = 5.0  # without a session for so long, a warning is logged
_RELEASE_SECONDS = 5.0  # how long the end of a campaign waits for the server


class SlotClient(Protocol):
    """The calls of the keeper to `SlotLimit`; each may raise SlotsUnavailableError."""

    async def read(self, max_sessions: int) -> LimitState: ...
    async def acquire(self) -> UUID | None: ...
    async def renew(self, lease: UUID) -> bool: ...
    async def release(self, lease: UUID) -> None: ...
    async def clear(self) -> None: ...
    async def release_stale(self) -> None: ...
    async def close(self) -> None: ...


class SlotKeeper:
    """Keeps a slot for each session that wants one, as far as limit and block allow."""

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
        """Use the number of sessions of a changed block."""
        if max_sessions != self._share.max_sessions:
            self._share.resize(max_sessions)
            self._changed.set()

    async def run(self) -> None:
        """Keep the slots until `close`, then release all of them."""
        try:
            while not self._closing:
                self._changed.clear()
                delay = await self.step()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
            await self._release_all()
        except Exception as error:
            self.slots.fail(error)  # sessions must not wait for a keeper that has ended
            raise
        finally:
            await self._limit.close()

    def close(self) -> None:
        """Take no more slots, and end `run`."""
        self._closing = True
        self._changed.set()

    async def step(self) -> float | None:
        """Do what is due; returns the seconds until something is due again, None for never."""
        if self._clock() >= self._patience.retry_at:
            try:
                await self._ask()
            except SlotsUnavailableError as error:
                self._unanswered(error)
        self._warn_when_starving()
        due_at = self._due_at()
        return max(0.0, due_at - self._clock()) if due_at < math.inf else None

    async def _ask(self) -> None:
        for slot in self.slots.all:
            if slot.ends_at <= self._clock():
                slot.is_recalled = True  # no session gets it while it is being released
                await self._uncount(slot)
                self.slots.remove(slot)
        if self.slots.all or self.slots.waiting:
            await self._look()
            await self._renew()
            await self._fill()

    async def _look(self) -> None:
        """Read the limit's state."""
        now = self._clock()
        if now < self._look_at:
            return
        if not self.slots.all:
            await self._limit.release_stale()
        before, state = self._share.limit_state, await self._limit.read(self._share.max_sessions)
        self._looked_at = now
        self._answered()
        if before and before.id != state.id:  # deleted and created again: our leases are void
            for slot in self.slots.all:
                slot.lease = None
        counted = [slot for slot in self.slots.all if slot.lease]
        if counted and not state.is_active:
            for slot in counted:
                await self._uncount(slot)
            await self._limit.clear()
        self._notices.limit_state(state, self._share.max_sessions)
        self._share.update(state)

    async def _renew(self) -> None:
        for slot in self.slots.all:
            if slot.lease and slot.renew_at <= self._clock():
                if await self._limit.renew(slot.lease):
                    slot.renew_at = self._clock() + RENEW_SECONDS
                else:
                    slot.lease = None

    async def _fill(self) -> None:
        """Acquire leases for uncounted slots, then slots for waiting sessions."""
        if not self._share.is_counted:
            self._grant_uncounted()
            return
        while self._share.may_take and not self._closing:
            uncounted = [slot for slot in self.slots.staying if not slot.lease]
            if not (uncounted or self._share.has_room):
                return
            lease = await self._limit.acquire()
            if lease is None:  # another process was faster
                self._looked_at = self._clock()
                self._share.set_full()
                return
            self._share.add_taken(1)
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
            self._share.add_taken(-1)

    async def _release_all(self) -> None:
        """Release all leases; those that the server does not release within seconds expire."""
        give_up_at = self._clock() + _RELEASE_SECONDS
        for slot in self.slots.all:
            while slot.lease and self._clock() < give_up_at:
                try:
                    await self._uncount(slot)
                except SlotsUnavailableError:
                    await asyncio.sleep(self._patience.failed(self._clock()))

    def _answered(self) -> None:
        self._patience.answered()
        self._notices.server_answers()

    def _unanswered(self, error: SlotsUnavailableError) -> None:
        now = self._clock()
        self._patience.failed(now)
        if self._patience.is_over(now) and self._share.has_room:
            self._notices.server_away(error)
            self._grant_uncounted()

    def _warn_when_starving(self) -> None:
        if self.slots.all or not self.slots.waiting:
            self._notices.has_session()
        elif self._clock() - self.slots.waiting_since >= _STARVING_SECONDS:
            self._notices.starving(self._share.limit_state)

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
