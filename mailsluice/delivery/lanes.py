"""The lanes of one connection, and whose turn it is.

The recipients of a connection are claimed together, in send order, into its main lane. A mailbox
provider whose mail has limits of its own, is slowed down, or is held, has a lane of its own, which
its recipients are moved to as they are claimed. Of the lanes whose next message may go, the one
with the earliest recipient in the send order is next: a lane that waits delays no other lane.

So that a slow lane does not collect the recipients of its provider, only a second's worth of them
wait. The others are released, and from then on the main lane leaves the provider out of its claims
and the lane claims for itself. A lane that keeps up needs no claims of its own, and thousands of
them cost no more than one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from mailsluice.delivery.journal import Journal
from mailsluice.delivery.lane import Lane
from mailsluice.delivery.lane_maker import LaneHooks, LaneMaker, follow
from mailsluice.delivery.lane_queue import LaneQueue
from mailsluice.delivery.pool import LOOK_SECONDS, Pool
from mailsluice.delivery.pool_room import PoolRoom
from mailsluice.delivery.provider_rules import ProviderRules
from mailsluice.delivery.slowdown import Slowdown
from mailsluice.delivery.starts import MOST_STARTS
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.delivery.store_thread import StoreThread
from mailsluice.delivery.waits import Wait, wait_of
from mailsluice.limits import Rules
from mailsluice.store import Claimed, ClaimScope

_FEW = 50


class Lanes:
    """The main lane of a connection, and the lanes of mailbox providers. Used on one event loop."""

    def __init__(
        self,
        connection: str,
        store: StoreThread,
        journal: Journal,
        slowdown: Slowdown,
        *,
        sessions: int,
        clock: Callable[[], float],
        changed: Callable[[], None],
        providers: Mapping[int, str] | None = None,
        is_open: Callable[[int], bool] | None = None,
        pool: Pool | None = None,
    ) -> None:
        """`providers` are the names of the campaign's mailbox providers, by number.

        `is_open` tells whether the sending window of a recipient is open, given by id; None: the
        same window is for all.

        `changed` is called when recipients or starts have arrived. With a `pool`, the recipients
        are those that the connection claims from it; set `pool_room` then.
        """
        self._connection = connection
        self._store = store
        self._maker = LaneMaker(connection, store, journal, clock)
        self._clock = clock
        self._changed = changed
        self._names = providers or {}
        self._is_open = is_open
        self._rules = ProviderRules(connection)
        self._pool = pool
        self.pool_room: PoolRoom | None = None
        """With a pool: how much of it may be claimed."""
        self.claimed_from_pool = 0
        """Recipients that were claimed from the pool and have not returned to it."""
        self.main = self._maker.main_lane(
            slowdown,
            sessions,
            changed=changed,
            wanted=lambda: self.pool_room.wanted() if self.pool_room else MOST_STARTS,
            hooks=self._hooks(0),
        )
        self._by_number: dict[int, Lane] = {}
        self._lane_of: dict[int, Lane] = {}
        """The lane of each provider seen so far, which is the main lane for most."""
        self._apart: frozenset[int] = frozenset()
        """The providers whose lanes claim for themselves."""
        self._queue = LaneQueue()
        self._rows = 0
        """Recipients in all lanes."""
        self._stock_rows = 0
        """Recipients that the main lane has claimed and whose lanes are not parked."""
        self._is_announced = False
        self.undecided = 0
        """Suspects: recipients that were taken, and may be put back or deferred."""
        self.failure: BaseException | None = None
        """Why nothing can be claimed or started any more."""

    def __len__(self) -> int:
        return self._rows

    @property
    def is_exhausted(self) -> bool:
        """Whether no recipient is left, now or later; those of held providers do not count."""
        return not self._rows and self.rests_until == math.inf and not self.undecided

    @property
    def holds_recipients(self) -> bool:
        """Whether recipients are claimed that may still return to the pool."""
        return bool(self._rows or self.main.starts.in_flight or self.undecided or self._is_claiming)

    @property
    def rests_until(self) -> float:
        """Until when no recipient can be taken; minus infinity where one may be taken soon."""
        if self.main.rows or self._queue or self._is_claiming or self.main.is_paused:
            return -math.inf
        return -math.inf if self._waits_for_answers else self.due_at

    @property
    def next_recipient_at(self) -> float:
        """The same as `rests_until`, without looks at recipients that may not be sent to yet."""
        if self.rests_until == -math.inf:
            return -math.inf
        lanes = self._by_number.values()
        waits = [
            lane.parked_until if lane.rows else lane.recipient_due_at
            for lane in lanes
            if lane.parked_until is not None and not lane.is_held
        ]
        return min([self.main.recipient_due_at, *(at for at in waits if at is not None)])

    @property
    def due_at(self) -> float:
        """When the outbox may have recipients of any lane, or a lane may go on."""
        return min(self.main.due_at, self._queue.next_parked_at())

    @property
    def _is_claiming(self) -> bool:
        apart = (self._by_number[number] for number in self._apart)
        return self.main.is_claiming or any(lane.is_claiming for lane in apart)

    @property
    def _waits_for_answers(self) -> bool:
        """Whether a lane with recipients may go on when starts, or the reply to a message, come."""
        lanes = self._by_number.values()
        return any(lane.parked_until == math.inf and lane.rows for lane in lanes)

    def per_second(self, now: float) -> float:
        """The pace that the lanes with recipients allow together; infinity where one has no limit.

        A pace is not worth computing where many lanes add up to it.
        """
        if self.main.rows or not self._rows or len(self._by_number) > _FEW:
            return math.inf
        return sum(lane.per_second(now) for lane in self._by_number.values() if lane.rows)

    def follow(self, rules: Mapping[str, Rules], providers: ProviderRules) -> None:
        """Follow these limits of the connection and of its providers from now on."""
        self._rules = providers
        self.main.starts.follow(rules)
        self.main.slowdown.limit_per_second = self.main.starts.per_second
        for lane in self._by_number.values():
            self._follow(lane)
            self._place(lane)
        self._lane_of = dict(self._by_number)
        self._sort_again()

    def lane(self, number: int) -> Lane:
        """The lane of the provider with this number, which is made where there is none.

        The main lane for the number 0, a recipient whose provider is not known.
        """
        if not number:
            return self.main
        if number not in self._by_number:
            self._make(number)
            self._sort_again()
        return self._by_number[number]

    def take(self, now: float) -> tuple[Claimed, Lane] | None:
        """Take the next recipient of a lane that may send now; None where there is none.

        Recipients whose sending window has closed since their claim are released.
        """
        main = self.main
        while True:
            if self._stock_rows <= main.low:
                main.refill()
            lane = self._next_lane(now) if self._by_number else main
            if not lane.rows:
                return None
            row = lane.rows.popleft()
            self._rows -= 1
            if lane is main:
                self._stock_rows -= 1
            else:
                self._taken(lane)
            if self._is_open is None or self._is_open(row.id):
                return row, lane
            self._release([row])
            self.expect(row, 0.0)  # a claim finds out when it may go

    def may_go_on(self, lane: Lane) -> None:
        """Look at a lane again, one of whose messages is no longer on its way."""
        if lane.parked_until is not None:
            self._place(lane)

    def put_back(self, row: Claimed) -> None:
        """Put a recipient that was not sent to before all others of its lane."""
        lane = self._lane_for(row.provider)
        lane.rows.appendleft(row)
        self._added(lane, 1)

    def put_last(self, row: Claimed) -> None:
        """Put a recipient that was not sent to behind all others, as it may be to blame."""
        lane = self._lane_for(row.provider)
        lane.rows.append(row)
        self._added(lane, 1)

    def expect(self, row: Claimed, delay_seconds: float) -> None:
        """Note that a recipient was deferred: it can be claimed again after so many seconds."""
        lane = self._lane_for(row.provider)
        if not lane.claims_itself:
            lane = self.main
        lane.expect(delay_seconds)
        self._place(lane)

    def mail_at(self, now: float) -> float:
        """When a recipient of any lane may be sent to, by the limits of providers alone.

        Infinity: not known before the answer to a claim, to a request for starts, or to a message.
        """
        self._wake(now)
        if self.main.rows or self._queue:
            return now
        self.main.refill()
        if self._is_claiming or self._waits_for_answers:
            return math.inf
        if self._pool and self.due_at == math.inf and self._pool.may_fill(self):
            return now + LOOK_SECONDS
        return max(now, self.due_at)

    def return_to_pool(self) -> None:
        """Return the recipients that were never attempted to the pool."""
        for lane in (self.main, *self._by_number.values()):
            self._return(lane)

    def look_again(self) -> None:
        """Claim again, soon: there may be recipients in the pool, or nobody holds any more."""
        self.main.due_at = -math.inf
        for lane in [self._by_number[number] for number in self._apart]:
            if not lane.is_held:
                lane.due_at = -math.inf
                self._place(lane)
        self._announce()

    def hold(self, number: int) -> None:
        """Claim and send to no recipient of a provider; those that wait are released."""
        lane = self.lane(number)
        if lane is self.main or lane.is_held:
            return
        lane.is_held, lane.due_at = True, math.inf
        self._set_apart(lane)
        self._release(self._cut(lane, 0))

    def release(self, number: int) -> None:
        """Go on with a provider that was held."""
        lane = self.lane(number)
        if lane.is_held:
            lane.is_held, lane.due_at = False, -math.inf
            self._place(lane)
            self._announce()

    async def give_back(self) -> None:
        """Claim nothing until `receive`, and release the recipients that wait to be sent to."""
        lanes = [self.main, *self._by_number.values()]
        for lane in lanes:
            lane.pause()
        for lane in lanes:
            await lane.answered()
        for lane in (self.main, *self._by_number.values()):  # answers may have made lanes
            self._release(self._cut(lane, 0))

    def receive(self) -> None:
        """Claim again at once: the connection may have recipients that it had not before."""
        for lane in (self.main, *self._by_number.values()):
            lane.is_paused = False
            lane.expect(0.0)
            if lane.claims_itself:
                self._place(lane)
        self._announce()

    def waits(self, now: float) -> list[Wait]:
        """The providers whose mail waits, the first to go on first; those held by order last."""
        lanes = [lane for lane in self._by_number.values() if lane.is_held or lane.rows]
        waits = [wait_of(self._names.get(lane.number, ""), lane, now) for lane in lanes]
        waits = [wait for wait in waits if wait.asked or wait.until > now]
        return sorted(waits, key=lambda wait: wait.until)

    async def close(self) -> None:
        """Release the recipients that were not taken, and return the unused starts."""
        lanes = [self.main, *self._by_number.values()]
        for lane in lanes:
            await lane.close()
        self._release([row for lane in lanes for row in lane.rows])
        for lane in lanes:
            lane.rows.clear()
        self._queue.clear()
        self._rows = self._stock_rows = 0
        if self._pool:
            self._pool.leave(self)
        await asyncio.gather(*(lane.starts.close() for lane in lanes))

    def _next_lane(self, now: float) -> Lane:
        """The lane whose message may go now, and whose recipient is the first in the send order."""
        if self._queue.has_parked:
            self._wake(now)
        first = self.main.rows[0].id if self.main.rows else math.inf
        while lane := self._queue.first_before(first):
            if (at := lane.ready_at(now)) <= now:
                return lane
            self._queue.remove_first()
            self._park(lane, at)
        return self.main

    def _taken(self, lane: Lane) -> None:
        """Queue the lane again whose recipient was taken; it is the first in the queue."""
        self._queue.first_taken()
        if not lane.claims_itself:
            self._stock_rows -= 1
        elif len(lane.rows) <= lane.low:
            lane.refill()
            self._place(lane)

    def _place(self, lane: Lane) -> None:
        """Put a lane where it belongs, after something has changed."""
        if lane is self.main:
            return
        if lane.parked_until is not None:
            lane.parked_until = None
            self._count(lane, len(lane.rows))
        if lane.rows:
            self._queue.add(lane)
        elif lane.claims_itself:
            lane.refill()
            if not lane.is_claiming:
                room = self.pool_room
                self._park(lane, room.next_claim_at(lane) if room else lane.due_at)

    def _park(self, lane: Lane, at: float) -> None:
        """Let a lane wait that is not in the queue; infinity: until something changes."""
        if self.pool_room and self.pool_room.is_far(at) and self._return(lane):
            return
        if lane.parked_until is None:
            self._count(lane, -len(lane.rows))
        self._queue.park(lane, at)

    def _wake(self, now: float) -> None:
        """Queue the lanes whose wait has ended; a lane that has to ask for starts asks now."""
        while self._queue.next_parked_at() <= now:
            lane = self._queue.take_parked()
            if lane.rows and (at := lane.ready_at(now)) > now:
                self._park(lane, at)
            else:
                self._place(lane)

    def _lane_for(self, number: int) -> Lane:
        """The lane of the recipients of a provider, which is made if the provider has limits."""
        lane = self._lane_of.get(number)
        if lane is None:
            has_limits = bool(self._rules and self._rules.of(self._names.get(number, "")))
            lane = self._lane_of[number] = self._make(number) if has_limits else self.main
        return lane

    def _make(self, number: int) -> Lane:
        lane = self._maker.provider_lane(
            number,
            self._names.get(number, ""),
            answered=partial(self._answered, number),
            hooks=self._hooks(number),
        )
        self._by_number[number] = self._lane_of[number] = lane
        if self.main.is_paused:
            lane.pause()
        self._follow(lane)
        return lane

    def _hooks(self, number: int) -> LaneHooks:
        async def claim(limit: int) -> ClaimedBatch:
            scope = ClaimScope(number) if number else ClaimScope(without=self._apart)
            batch = await self._store.claim(self._connection, limit, scope)
            if limit or self.pool_room is None:
                return batch
            return self.pool_room.looked(self._by_number.get(number, self.main), batch)

        return LaneHooks(claim, self._claimed, self._room if self._pool else None)

    def _room(self, lane: Lane) -> int | None:
        """How many recipients of the pool a lane may claim."""
        waiting = self._stock_rows if lane is self.main else len(lane.rows)
        return self.pool_room.of(lane, waiting) if self.pool_room else None

    def _follow(self, lane: Lane) -> None:
        rules = self._rules.of(self._names.get(lane.number, ""))
        follow(lane, rules, self.main.starts.per_second)

    def _answered(self, number: int) -> None:
        """Take the answer to a lane's request for starts."""
        lane = self._by_number[number]
        self.failure = self.failure or lane.failure
        self._place(lane)
        self._announce()

    def _claimed(self, lane: Lane, rows: Sequence[Claimed]) -> None:
        """Take the answer to a lane's claim."""
        self.failure = self.failure or lane.failure
        if self._pool:
            self.claimed_from_pool += _unattempted(rows)
        try:
            if lane is self.main:
                self._sort(rows)
            else:
                lane.rows.extend(rows)
                self._added(lane, len(rows))
        except Exception as error:  # noqa: BLE001 the connection sender raises it
            self.failure = error
        if lane is self.main:
            self._changed()
        else:
            self._announce()

    def _announce(self) -> None:
        """Say once, soon, that lanes have changed; many do at the same time."""
        if not self._is_announced:
            self._is_announced = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_announced = False
        self._changed()

    def _sort(self, rows: Iterable[Claimed]) -> None:
        """Move recipients that the main lane has claimed to their lanes."""
        if not (self._by_number or self._rules):
            before = len(self.main.rows)
            self.main.rows.extend(rows)
            self._added(self.main, len(self.main.rows) - before)
            return
        by_lane: dict[Lane, list[Claimed]] = {}
        for row in rows:
            lane = self._lane_of.get(row.provider) or self._lane_for(row.provider)
            by_lane.setdefault(lane, []).append(row)
        released: list[Claimed] = []
        missed: list[Lane] = []
        for lane, its_rows in by_lane.items():
            if lane.claims_itself and lane is not self.main:  # an earlier claim included it
                released += its_rows
                missed.append(lane)
            else:
                lane.rows.extend(its_rows)
                self._added(lane, len(its_rows))
                released += self._overflow(lane)
        self._release(released)
        for lane in missed:  # its own claim may have found nothing meanwhile
            lane.expect(0.0)
            self._place(lane)

    def _sort_again(self) -> None:
        """Sort the recipients of the main lane again, as lanes have been added."""
        rows = [*self.main.rows]
        self.main.rows.clear()
        self._rows -= len(rows)
        self._stock_rows -= len(rows)
        self._sort(rows)

    def _added(self, lane: Lane, rows: int) -> None:
        """Note that recipients were added to a lane."""
        self._rows += rows
        if lane.parked_until is None:
            self._count(lane, rows)
        if lane.is_held:
            self._release(self._cut(lane, 0))
        elif lane.parked_until is None or len(lane.rows) == rows:  # else it waits as before
            self._place(lane)

    def _count(self, lane: Lane, rows: int) -> None:
        if lane is self.main or not lane.claims_itself:
            self._stock_rows += rows

    def _overflow(self, lane: Lane) -> list[Claimed]:
        """Have a lane claim for itself if too many of its recipients wait; returns the excess."""
        most = lane.most_waiting(self._clock())
        if self.pool_room:
            most = min(most, max(1.0, self.pool_room.pace(lane)))
        if lane is self.main or len(lane.rows) <= most:
            return []
        self._set_apart(lane)
        return self._cut(lane, int(most))

    def _set_apart(self, lane: Lane) -> None:
        """Leave a provider out of the main lane's claims: its lane claims for itself."""
        if not lane.claims_itself:
            if lane.parked_until is None:
                self._count(lane, -len(lane.rows))
            lane.claims_itself = True
            self._apart |= {lane.number}

    def _cut(self, lane: Lane, keep: int) -> list[Claimed]:
        """Remove and return the recipients of a lane beyond the first ones."""
        cut = [lane.rows.pop() for _ in range(len(lane.rows) - keep)]
        self._rows -= len(cut)
        if lane.parked_until is None:
            self._count(lane, -len(cut))
        if not lane.rows:
            self._queue.remove(lane)
            self._place(lane)
        return cut

    def _release(self, rows: Sequence[Claimed]) -> None:
        if rows:
            self._store.release([row.id for row in rows])
            if self._pool:
                self.claimed_from_pool -= _unattempted(rows)
                self._pool.returned(self)

    def _return(self, lane: Lane) -> bool:
        """Return a lane's recipients to the pool, except for those that were attempted."""
        given = [row for row in lane.rows if not row.attempts]
        if not given:
            return False
        kept = [row for row in lane.rows if row.attempts]
        lane.look_in(LOOK_SECONDS)  # the last claim may have found nothing else
        if lane is not self.main:
            self._set_apart(lane)
        self._cut(lane, 0)
        lane.rows.extend(kept)
        self._added(lane, len(kept))
        self._release(given)
        return True


def _unattempted(rows: Iterable[Claimed]) -> int:
    return sum(not row.attempts for row in rows)
