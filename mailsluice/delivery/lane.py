"""A lane: recipients of one connection that are claimed, started and slowed down together.

A claim covers about a quarter of a second of sending: a throttled lane claims a handful of
recipients, a fast one thousands. This bounds how many recipients a lost machine leaves in doubt.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from mailsluice.delivery.slowdown import Slowdown
from mailsluice.delivery.starts import StartStock
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.store import Claimed

_MIN_CLAIM, _MAX_CLAIM = 4, 2400
_CLAIM_SECONDS = 0.25  # a claim is sized to last about that long
_LEAST_WAITING = 16
_WAITING_SECONDS = 1.0  # so much of a lane's mail may wait before the lane claims for itself


class Lane:
    """The claimed recipients of a lane, in the order in which they are sent to, and its pace.

    The main lane of a connection has the connection's own pace. Every other lane is for one mailbox
    provider.
    """

    def __init__(
        self,
        number: int,
        starts: StartStock,
        slowdown: Slowdown,
        *,
        claim: Callable[[int], Awaitable[ClaimedBatch]],
        clock: Callable[[], float],
        claimed: Callable[[Lane, Sequence[Claimed]], None],
        size: int = _MIN_CLAIM,
        room: Callable[[Lane], int | None] | None = None,
    ) -> None:
        """Begin without recipients.

        Args:
            number: The number of the mailbox provider; 0 for the main lane.
            starts: The permissions to start a message to these recipients.
            slowdown: The pace that the server's replies leave.
            claim: Claims up to so many recipients of this lane.
            clock: The clock of all moments, in seconds.
            claimed: Takes the answer to each claim; what it does not add to `rows` is not kept.
            size: How many recipients the first claim is for.
            room: Where other connections claim from the same recipients: how many more the lane
                may claim now, None: nothing now, 0: ask whether any are left. It sets `low`.
        """
        self.number = number
        self.starts = starts
        self.slowdown = slowdown
        self._claim = claim
        self._clock = clock
        self._claimed = claimed
        self._room = room
        self.rows: deque[Claimed] = deque()
        self.size = max(_MIN_CLAIM, size)
        """How many recipients the next claim is for."""
        self._claimed_at = -math.inf
        self._claiming: asyncio.Task[None] | None = None
        self._is_closed = False
        self._failure: BaseException | None = None
        self.due_at = -math.inf
        """When the outbox may have recipients: minus infinity is now, infinity is never."""
        self.recipient_due_at = -math.inf
        """The same, but for recipients that are known to become due, not for a look at others."""
        self.claims_itself = not number
        """Whether the lane claims for itself; else the claims of the main lane include it."""
        self.waits_for_canary = False
        """Whether the other recipients wait for the decision about a canary."""
        self.waits_for_zone = ""
        """The time zone whose sending window opens next, where recipients wait for it."""
        self.is_held = False
        """Whether nothing is claimed or sent until further notice."""
        self.is_paused = False
        """Whether nothing is claimed, since the recipients may move to another connection."""
        self.is_queued = False
        """Whether the lane waits for its turn (`Lanes`)."""
        self.low = self.size // 2
        """When so many recipients are left, or fewer, the lane claims more."""
        self.parked_until: float | None = None
        """Until when the lane cannot send, if it has been seen that it cannot (`Lanes`)."""

    @property
    def failure(self) -> BaseException | None:
        """Why nothing can be claimed or started any more."""
        return self._failure or self.starts.failure

    @property
    def is_claiming(self) -> bool:
        """Whether a claim is under way."""
        return self._claiming is not None

    def ready_at(self, now: float) -> float:
        """When the next message may start; infinity: not before a reply or an answer comes."""
        if self.slowdown.rests and self.starts.in_flight:
            return math.inf
        return max(self.slowdown.next_at, self.starts.ready_at(now))

    def known_at(self, now: float) -> float:
        """Return the same as `ready_at`, without a request for starts."""
        if self.slowdown.rests and self.starts.in_flight:
            return math.inf
        return max(self.slowdown.next_at, self.starts.known_at(now))

    def started(self, now: float) -> None:
        """Use a start for a message."""
        self.starts.started()
        self.slowdown.started(now)

    def finished(self, *, is_unused: bool) -> None:
        """Note that a message is not on its way any more; `is_unused`: it has used no start."""
        if is_unused:
            self.starts.unused()
        else:
            self.starts.finished()

    def per_second(self, now: float) -> float:
        """The pace that limits and replies allow; infinity without any."""
        slowed = self.slowdown.per_second(now)
        return min(self.starts.per_second, math.inf if slowed is None else slowed)

    def most_waiting(self, now: float) -> float:
        """How many recipients may wait before the lane claims for itself."""
        most = max(_LEAST_WAITING, self.per_second(now) * _WAITING_SECONDS)
        is_parked = self.parked_until is not None and now < self.parked_until < math.inf
        return _LEAST_WAITING if is_parked and most == math.inf else most

    def expect(self, delay_seconds: float) -> None:
        """Note that a recipient was deferred: it can be claimed again after so many seconds."""
        if not self.is_shut:
            at = self._clock() + delay_seconds
            self.due_at = min(self.due_at, at)
            self.recipient_due_at = min(self.recipient_due_at, at)

    def look_in(self, seconds: float) -> None:
        """Claim again in so many seconds: others may have left recipients by then."""
        if not self.is_shut:
            self.due_at = min(self.due_at, self._clock() + seconds)

    @property
    def is_shut(self) -> bool:
        """Whether nothing is claimed, whatever is due."""
        return self.is_held or self.is_paused

    def pause(self) -> None:
        """Claim nothing until `is_paused` is reset and something is due."""
        self.is_paused = True
        self.due_at = self.recipient_due_at = math.inf

    def refill(self) -> None:
        """Claim more recipients, unless a claim is under way or the outbox has none now."""
        now = self._clock()
        may_not = self._is_closed or self.is_shut or self.failure
        if self._claiming or may_not or now < self.due_at:
            return
        room = _MAX_CLAIM if self._room is None else self._room(self)
        if room is None:
            return
        if now - self._claimed_at < _CLAIM_SECONDS:
            self.size = min(self.size * 2, _MAX_CLAIM)
        elif now - self._claimed_at > 4 * _CLAIM_SECONDS:
            self.size = max(self.size // 2, _MIN_CLAIM)
        if self._room is None:
            self.low = self.size // 2
        self._claimed_at = now
        self._claiming = asyncio.ensure_future(self._refill(min(self.size, room)))

    async def _refill(self, limit: int) -> None:
        self.due_at = self.recipient_due_at = math.inf
        rows: Sequence[Claimed] = ()
        try:
            batch = await self._claim(limit)
        except Exception as error:  # noqa: BLE001 the connection sender raises it
            self._failure = error
        else:
            rows = batch.rows
            self.waits_for_canary = batch.is_canary
            self.waits_for_zone = batch.zone
            if self.is_shut:
                self.due_at = math.inf
            elif rows:
                self.due_at = self.recipient_due_at = -math.inf
            elif batch.next_due_seconds is not None:
                self.expect(batch.next_due_seconds)
            if not rows and batch.look_in_seconds is not None:
                self.look_in(batch.look_in_seconds)
        self._claiming = None
        self._claimed(self, rows)

    async def close(self) -> None:
        """Claim no more; returns when a claim under way has been answered."""
        self._is_closed = True
        await self.answered()

    async def answered(self) -> None:
        """Wait for the answer to the claim that is under way, if there is one."""
        if self._claiming:
            await self._claiming
