"""The recipients of one connection that are claimed ahead of the sessions that send to them.

A claim covers about a quarter of a second of sending: a throttled connection claims a handful of
recipients, a fast one thousands. This bounds how many recipients a lost machine leaves in doubt.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from mailsluice.delivery.store_thread import StoreThread
from mailsluice.store import Claimed

_MIN_CLAIM, _MAX_CLAIM = 4, 2400
_CLAIM_SECONDS = 0.25  # a claim is sized to last about that long


class ClaimedRecipients:
    """The claimed recipients of one connection, in the order in which they are sent to."""

    def __init__(
        self,
        connection: str,
        store: StoreThread,
        *,
        sessions: int,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._store = store
        self._clock = clock
        self._changed = changed
        self._rows: deque[Claimed] = deque()
        self._size = max(_MIN_CLAIM, 2 * sessions)
        self._claimed_at = -math.inf
        self._claiming: asyncio.Task[None] | None = None
        self._closed = False
        self.undecided = 0
        """Suspects: recipients that were taken, and may be put back or deferred."""
        self.due_at = -math.inf
        """When the outbox may have recipients: minus infinity is now, infinity is never."""
        self.failure: BaseException | None = None
        """Why nothing can be claimed any more."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_exhausted(self) -> bool:
        """Whether no recipient is left, now or later."""
        return self.rests_until == math.inf and not self.undecided

    @property
    def rests_until(self) -> float:
        """Until when no recipient can be taken; minus infinity where one may be taken now."""
        return self.due_at if not (self._rows or self._claiming) else -math.inf

    def take(self) -> Claimed | None:
        """Take the next recipient; None where none is claimed yet."""
        if len(self._rows) <= self._size // 2:
            self.refill()
        return self._rows.popleft() if self._rows else None

    def put_back(self, row: Claimed) -> None:
        """Put a recipient that was not sent to before all others."""
        self._rows.appendleft(row)

    def put_last(self, row: Claimed) -> None:
        """Put a recipient that was not sent to behind all others, as it may be to blame."""
        self._rows.append(row)

    def expect(self, delay_seconds: float) -> None:
        """Note that a recipient was deferred: it can be claimed again after so many seconds."""
        self.due_at = min(self.due_at, self._clock() + delay_seconds)

    def refill(self) -> None:
        """Claim more recipients, unless a claim is under way or the outbox has none now."""
        now = self._clock()
        if self._claiming or self._closed or self.failure or now < self.due_at:
            return
        if now - self._claimed_at < _CLAIM_SECONDS:
            self._size = min(self._size * 2, _MAX_CLAIM)
        elif now - self._claimed_at > 4 * _CLAIM_SECONDS:
            self._size = max(self._size // 2, _MIN_CLAIM)
        self._claimed_at = now
        self._claiming = asyncio.ensure_future(self._claim())

    async def _claim(self) -> None:
        self.due_at = math.inf
        try:
            batch = await self._store.claim(self._connection, self._size)
        except Exception as error:  # noqa: BLE001 the connection sender raises it
            self.failure = error
        else:
            self._rows.extend(batch.rows)
            if batch.rows:
                self.due_at = -math.inf
            elif batch.next_due_seconds is not None:
                self.expect(batch.next_due_seconds)
        self._claiming = None
        self._changed()

    async def close(self) -> None:
        """Release the recipients that were not taken."""
        self._closed = True
        if self._claiming:
            await self._claiming
        self._store.release(row.id for row in self._rows)
        self._rows.clear()
