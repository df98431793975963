"""The starts that one connection has in stock: moments at which its next messages may go."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from mailsluice.limits import Hold, Rules
from mailsluice.store import Ask, Starts

_HORIZON_SECONDS = 0.25  # starts are asked for so far ahead
_LOW_SECONDS = 0.12  # with less than that in stock it asks for more
_STALE_SECONDS = 0.5  # a start not used for so long goes back to the others
_TEND_SECONDS = 1.0
_RENEW_SECONDS = 8.0  # what is held has to be told again well before it is lost
_POLL_SECONDS = 0.1  # another sender's reply makes room: nobody tells us
_MOST = 5_000


class Reserves(Protocol):
    """Who can ask the limits' common memory: the bookkeeper."""

    async def reserve(self, ask: Ask) -> Starts: ...


class StartStock:
    """Asks the limits' common memory ahead of time, and tells it what came of what it got.

    All on one event loop. Without rules it costs nothing: a message may always go.
    """

    def __init__(
        self,
        holder: str,
        bookkeeper: Reserves,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._holder = holder
        self._bookkeeper = bookkeeper
        self._clock = clock
        self._changed = changed
        self._rules: Mapping[str, Rules] = {}
        self._starts: deque[float] = deque()
        self._in_flight = 0
        self._replies: list[float] = []
        self._told, self._told_at = 0, -math.inf
        """How many were open when that was told last."""
        self._ask_at = -math.inf
        self._held: tuple[Hold, float] | None = None
        """The rule that the start after those in stock waits for, and until when."""
        self._lost_at = math.inf
        self._asking: asyncio.Task[None] | None = None
        self._tending: asyncio.TimerHandle | None = None
        self.failure: BaseException | None = None
        """Why no start can be had any more."""

    @property
    def per_second(self) -> float:
        """The pace that the rules allow; infinity without any."""
        return min((one.per_second for one in self._rules.values()), default=math.inf)

    def follow(self, rules: Mapping[str, Rules]) -> None:
        """These rules hold from here on, by the key under which others fall under them too."""
        self._rules = {key: one for key, one in rules.items() if one}
        self._starts.clear()
        self._ask_at = -math.inf
        self._held = None

    def ready_at(self, now: float) -> float:
        """When the next message may be started; infinity: `changed` will be called first."""
        if not self._rules:
            return now
        self._drop_stale(now)
        if not self._starts or self._starts[-1] < now + _LOW_SECONDS:
            if now >= self._ask_at:
                self._exchange_soon(_MOST)
            if not self._starts:
                return math.inf if self._asking else max(now, self._ask_at)
        return max(now, self._starts[0])

    def held(self) -> tuple[Hold, float] | None:
        """The rule that decides when the next message may be started, and when; None: no rule."""
        if self._held is None or not self._starts:
            return self._held
        return self._held[0], self._starts[0]

    def started(self) -> None:
        """A message was started, by the first start of the stock."""
        self._in_flight += 1
        if self._rules:
            self._starts.popleft()

    def finished(self) -> None:
        """A message's reply has come, or it cannot arrive any more."""
        self._in_flight -= 1
        if self._rules:
            self._replies.append(self._clock())
            if not self._starts:
                self._ask_at = -math.inf

    def unused(self) -> None:
        """A message that was started did not reach the server: its start is there for another."""
        self._in_flight -= 1
        if self._rules:
            now = self._clock()
            self._starts.appendleft(min(now, self._starts[0]) if self._starts else now)

    async def close(self) -> None:
        """Give back what was not used."""
        if self._tending:
            self._tending.cancel()
        while self._asking:
            await self._asking
        self._starts.clear()
        if (self._told or self._replies) and not self.failure:
            await self._exchange(0)

    @property
    def _open(self) -> int:
        """Starts given out of which nobody else knows the end."""
        return len(self._starts) + self._in_flight + len(self._replies)

    def _drop_stale(self, now: float) -> None:
        """Those not used in time. The next may be hours away: given back, it is had again now."""
        oldest = math.inf if now >= self._lost_at else now - _STALE_SECONDS
        while self._starts and self._starts[0] < oldest:
            self._starts.popleft()
            self._ask_at = -math.inf

    def _exchange_soon(self, most: int) -> None:
        if not (self._asking or self.failure):
            self._asking = asyncio.ensure_future(self._exchange(most))

    async def _exchange(self, most: int) -> None:
        replies, self._replies = self._replies, []
        ask = Ask(
            holder=self._holder,
            rules=self._rules,
            open=self._open,
            replies=replies,
            most=most,
            horizon_seconds=_HORIZON_SECONDS,
        )
        try:
            self._take(ask, await self._bookkeeper.reserve(ask))
        except Exception as error:  # noqa: BLE001 the connection sender raises it
            self.failure = error
        self._asking = None
        self._changed()

    def _take(self, ask: Ask, answer: Starts) -> None:
        now = self._clock()
        self._told, self._told_at = ask.open + len(answer.moments), now
        self._lost_at = answer.until
        if ask.rules is self._rules and ask.most:
            self._starts.extend(answer.moments)
            self._held = (answer.hold, answer.hold.until) if answer.hold else None
            later = answer.next_at - _HORIZON_SECONDS
            self._ask_at = now + _POLL_SECONDS if later == math.inf else later
        if self._tending is None:
            self._tend()

    def _tend(self) -> None:
        """Now and then: give back what is not used, renew what is held."""
        self._tending = asyncio.get_running_loop().call_later(_TEND_SECONDS, self._tend)
        now = self._clock()
        self._drop_stale(now)
        is_due = self._told and now > self._told_at + _RENEW_SECONDS
        if is_due or self._replies or self._told != self._open:
            self._exchange_soon(0)
