"""Acquire, renew and release the slots of one connection on the Prefect server.

One keeper asks for its connection, however many sessions there are, one request after the other. It
acquires one slot for the first session, and all free ones that it may use when there is a second,
so that a process has two leases of a connection as a rule. A lease can only be released as a whole:
sessions end before the lease with their slots is released. Slots are kept until another process
asks for them, or until no session needs one for a while.

Changes of the limit and requests of other processes come as events, so the limit is read rarely.
Without events it is polled, each slot has a lease of its own, and spare slots are released at once.
While the server is away, sessions stay open, and after ten seconds new sessions open without slots:
a server that is away costs exactness rather than the campaign.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress

from prefect.events import Event

from flows.support.session_slots.gate import Gate
from flows.support.session_slots.leases import Leases, SlotClient
from flows.support.session_slots.limit import (
    LIMIT_KIND,
    SlotsUnavailableError,
)
from flows.support.session_slots.limit_state import HostLimit
from flows.support.session_slots.limit_watch import LimitWatch
from flows.support.session_slots.neighbours import Neighbours, Request
from flows.support.session_slots.notices import Notices
from flows.support.session_slots.patience import Patience
from flows.support.session_slots.sharing import PASS_SECONDS, Lease, Share, kept, passed_on

TURN_SECONDS, RARE_TURN_SECONDS = 60.0, 600.0
"""How often a process without slots, or with too few, asks the others for one."""
SPARE_SECONDS = 60.0
"""How long slots are kept while there is no session, unless another process asks for them."""
LINGER_SECONDS = 2.0
"""How long slots without a session are kept where other processes cannot ask."""
_STARVING_SECONDS = 5.0  # without a session for so long, a warning is logged
_RELEASE_SECONDS = 5.0  # how long the end of a campaign waits for the server
_TURN_STEP_SECONDS = 0.3


class SlotKeeper:
    """Keeps as many slots as sessions want, as far as limit and block allow."""

    def __init__(
        self,
        limit: SlotClient,
        max_sessions: int,
        gate: Gate,
        notices: Notices,
        neighbours: Neighbours,
        *,
        is_told: Callable[[], bool],
        shards: int = 1,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`is_told` says whether events arrive; `shards` is how many processes share them all."""
        self._limit = limit
        self._notices = notices
        self._neighbours = neighbours
        self._gate = gate
        self._is_told = is_told
        self._clock = clock
        self._share = Share(max_sessions, clock, chance, shards)
        self._share.host = limit.host
        self._leases = Leases(limit, self._share, clock, self._answered)
        self._patience = Patience()
        self._changed = asyncio.Event()
        self._was_waiting = False
        self._watch = LimitWatch(clock, is_told)
        self._spare_since = self._waiting_since = self._turn_since = clock()
        self._ask_at = -math.inf
        self._was_asked = False
        self._closing = False
        gate.changed = self._see

    def resize(self, max_sessions: int, host: HostLimit | None = None) -> None:
        """Use the numbers of sessions of a changed block."""
        self._share.max_sessions = max_sessions
        if host != self._limit.host:
            self._limit.host = self._share.host = self._neighbours.host = host
            self._watch.read_in()
        self._changed.set()

    def hear(self, event: Event | None) -> None:
        """Note an event; None where events may have been missed."""
        if event is None:
            self._watch.read_in()
        elif event.resource.id.startswith(LIMIT_KIND):
            if event.resource.name not in self._limit.names or not self._is_news(event):
                return
            self._watch.announced()
        elif isinstance(heard := self._neighbours.heard(event), Request):
            self._was_asked = True
            self._pass_on(heard)
        elif heard:  # the process with the fewest slots comes first
            self._watch.read_in(min(PASS_SECONDS, _TURN_STEP_SECONDS * self._leases.held))
        self._changed.set()

    def _is_news(self, event: Event) -> bool:
        """Whether the limit was read before this event; a subscription begins with old ones."""
        known = self._share.limit_state
        return bool(known and not (known.updated and event.occurred <= known.updated))

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
            self._gate.fail(error)  # sessions must not wait for a keeper that has ended
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

    def _see(self) -> None:
        if not self._spare:
            self._spare_since = self._clock()
        is_waiting = self._gate.waiting > 0
        if is_waiting and not self._was_waiting:
            self._waiting_since = self._clock()
        self._was_waiting = is_waiting
        self._changed.set()

    async def _ask(self) -> None:
        is_known = self._share.limit_state is not None  # is read before the first session
        if is_known and not (self._leases.all or self._gate.wanted):
            return
        if self._clock() >= self._look_at:
            await self._look()
        await self._leases.renew()
        if self._clock() >= self._spare_until:
            await self._has_shed(self._spare)
        staying = kept(self._leases.all, self._share.ceiling)
        if await self._has_shed([lease for lease in self._leases.all if lease not in staying]):
            self._share.has_released()
            await self._fill()

    async def _look(self) -> None:
        """Read the limit's state."""
        if not self._leases.all:
            await self._limit.release_stale()
        before, state = self._share.limit_state, await self._limit.read(self._share.max_sessions)
        self._watch.was_read()
        self._answered()
        is_another = before is not None and before.id != state.id  # such as created again
        if self._leases.all and (is_another or not state.is_active):
            await self._leases.release(self._leases.all)
            await self._limit.clear()
            state = await self._limit.read(self._share.max_sessions)
        self._notices.limit_state(state, self._share.of_block)
        self._share.update(state, self._leases.held)
        self._pass_on_by_turns()

    async def _has_shed(self, leaving: list[Lease]) -> bool:
        """Release leases, once the sessions with their slots have ended; returns whether."""
        if leaving:
            slots = self._leases.held - sum(lease.slots for lease in leaving)
            self._gate.allow(min(self._gate.allowed, slots))
            if self._gate.open > slots:
                return False
            await self._leases.release(leaving)
            self._neighbours.tell_released()
        return True

    async def _fill(self) -> None:
        """Acquire slots for sessions that wait, and for those that are open without."""
        share = self._share
        if not share.is_counted:
            self._gate.allow(share.most)
            return
        while self._is_lacking and not self._closing:
            slots = min(share.ceiling - self._leases.held, share.free)
            if not (self._leases.held and self._is_told()):
                slots = min(slots, 1)
            if not slots:
                self._ask_neighbours()
                break
            await self._leases.acquire(slots)
            self._gate.allow(max(self._gate.allowed, self._leases.held))
        uncounted = min(self._gate.allowed, self._gate.open, share.ceiling)
        self._gate.allow(max(self._leases.held, uncounted))

    async def _release_all(self) -> None:
        """Release all leases; those that the server does not release within seconds expire."""
        give_up_at = self._clock() + _RELEASE_SECONDS
        while self._leases.all and self._clock() < give_up_at:
            try:
                await self._leases.release(self._leases.all[:1])
            except SlotsUnavailableError:
                await asyncio.sleep(self._patience.failed(self._clock()))
        if self._was_asked:
            self._neighbours.tell_released()

    def _ask_neighbours(self) -> None:
        if self._clock() >= self._ask_at:
            self._ask_at = self._clock() + (
                RARE_TURN_SECONDS if self._leases.held else TURN_SECONDS
            )
            self._neighbours.ask(Request(self._leases.held, self._gate.wanted))

    def _pass_on(self, request: Request) -> None:
        """Release what another process asks for, if this one can do without."""
        if count := passed_on(self._leases.held, self._gate.wanted, request.held, request.wanted):
            self._share.hold_at_most(self._leases.held - count)

    def _pass_on_by_turns(self) -> None:
        """Release a slot from time to time, since others cannot ask without events."""
        now = self._clock()
        if self._is_told() or self._share.free or self._leases.held < 2:
            self._turn_since = now
        elif now - self._turn_since >= TURN_SECONDS:
            self._turn_since = now
            self._share.hold_at_most(self._leases.held - 1)

    def _answered(self) -> None:
        self._patience.answered()
        self._notices.server_answers()

    def _unanswered(self, error: SlotsUnavailableError) -> None:
        now = self._clock()
        self._patience.failed(now)
        self._watch.read_in()  # the next request asks whether the server answers again
        wanted = min(self._gate.wanted, self._share.most)
        if self._patience.is_over(now) and wanted > self._gate.allowed:
            self._notices.server_away(error)
            self._gate.allow(wanted)

    def _warn_when_starving(self) -> None:
        if self._gate.allowed or not self._gate.waiting:
            self._notices.has_session()
        elif self._clock() - self._waiting_since >= _STARVING_SECONDS:
            self._notices.starving(self._share.limit_state)

    @property
    def _is_lacking(self) -> bool:
        """Whether sessions want more slots than the process holds, and it may hold more."""
        return (
            self._share.is_counted
            and min(self._gate.wanted, self._share.ceiling) > self._leases.held
        )

    @property
    def _spare(self) -> list[Lease]:
        """The leases that no session needs; with events they are kept while there is a session."""
        if self._is_told() and self._gate.wanted:
            return []
        return kept(self._leases.all, self._leases.held - self._gate.wanted)

    @property
    def _spare_until(self) -> float:
        """How long spare leases are kept; infinity where there are none."""
        if not self._spare:
            return math.inf
        return self._spare_since + (SPARE_SECONDS if self._is_told() else LINGER_SECONDS)

    @property
    def _look_at(self) -> float:
        return self._watch.due_at(self._share.limit_state, self._leases.held, self._is_lacking)

    def _due_at(self) -> float:
        if not (self._leases.all or self._gate.wanted):
            return math.inf
        due = [self._look_at, self._spare_until, *(lease.renew_at for lease in self._leases.all)]
        if self._clock() < self._share.cap_until:
            due.append(self._share.cap_until)
        return max(self._patience.retry_at, min(due))
