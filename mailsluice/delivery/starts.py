"""The starts that one connection has in stock: moments at which its next messages may begin."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from mailsluice.limits import Hold, Rules
from mailsluice.store import Ask, Starts

_HORIZON_SECONDS = 0.4  # how far ahead starts are requested
_LOW_SECONDS = 0.15  # more starts are requested when the stock covers less than this
_STALE_SECONDS = 0.5
_TEND_SECONDS = 0.25
_RENEW_SECONDS = 8.0  # open starts are reported again well before they expire
_POLL_SECONDS = 0.1  # a reply to another sender makes room without notice
MOST_STARTS = 5_000


class StartSource(Protocol):
    """Grants starts from the limits' usage, which all processes share."""

    async def reserve(self, ask: Ask) -> Starts: ...


class StartStock:
    """Requests starts ahead of time, and reports which of them were used.

    Everything here runs on one event loop. Without rules a message may always start, and nothing is
    requested.
    """

    def __init__(
        self,
        holder: str,
        source: StartSource,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
        note: Callable[[int, int], None] = lambda _in_flight, _answered: None,
        wanted: Callable[[], int] = lambda: MOST_STARTS,
    ) -> None:
        """Begin without starts.

        Args:
            holder: The name of this process and connection.
            source: What grants starts.
            clock: The clock of the moments, in seconds.
            changed: Called when the answer of `ready_at` may have changed.
            note: Notes the messages in flight and the replies so far where they survive the
                process, before each message is sent.
            wanted: How many starts can be used soon. More are not requested.
        """
        self._holder = holder
        self._source = source
        self._clock = clock
        self._changed = changed
        self._rules: Mapping[str, Rules] = {}
        self._starts: deque[float] = deque()
        self._note = note
        self._wanted = wanted
        self.tend_seconds = _TEND_SECONDS
        """Replies that no request reports in the meantime are reported after so long."""
        self.stale_seconds = _STALE_SECONDS
        """A start that is unused for so long is returned."""
        self.in_flight = 0
        """Messages that were started and have no reply yet."""
        self._answered = 0
        self._replies: list[float] = []
        self._reported, self._reported_at = 0, -math.inf
        """The open starts at the last report, and its moment."""
        self._ask_at = -math.inf
        self._held: tuple[Hold, float] | None = None
        """The rule that delays the start after the stock, and until when."""
        self._expires_at = math.inf
        self._pace = math.inf
        """The even pace at the last answer, per second."""
        self._asking: asyncio.Task[None] | None = None
        self._tending: asyncio.TimerHandle | None = None
        self.failure: BaseException | None = None
        """Why no more starts can be granted."""

    @property
    def per_second(self) -> float:
        """The pace that the rules allow; infinity without any."""
        return min([self._pace, *(rules.per_second for rules in self._rules.values())])

    def follow(self, rules: Mapping[str, Rules]) -> None:
        """Follow these rules from now on, by the key under which other senders share each."""
        self._rules = {key: rule for key, rule in rules.items() if rule}
        self._starts.clear()
        self._ask_at, self._pace = -math.inf, math.inf
        self._held = None
        self._note(self.in_flight if self._rules else -1, self._answered)

    def ready_at(self, now: float) -> float:
        """When the next message may start; infinity: not known before `changed` is called."""
        if not self._rules:
            return now
        self._drop_stale(now)
        if not self._starts or self._starts[-1] < now + _LOW_SECONDS:
            if now >= self._ask_at and len(self._starts) <= (wanted := self._wanted()) // 2:
                self._exchange_soon(min(wanted, MOST_STARTS))
            if not self._starts:
                return math.inf if self._asking else max(now, self._ask_at)
        return max(now, self._starts[0])

    def known_at(self, now: float) -> float:
        """Return the same as `ready_at`, without a request for starts."""
        if not self._rules:
            return now
        if self._starts:
            return max(now, self._starts[0])
        return math.inf if self._asking else max(now, self._ask_at)

    def held(self) -> tuple[Hold, float] | None:
        """The rule that delays the next message, and until when; None where no rule does."""
        if self._held is None or not self._starts:
            return self._held
        return self._held[0], self._starts[0]

    def started(self) -> None:
        """Use the first start of the stock for a message."""
        self.in_flight += 1
        if self._rules:
            self._starts.popleft()
            self._note(self.in_flight, self._answered)

    def finished(self) -> None:
        """Note that a message's reply has come, or cannot come any more."""
        self.in_flight -= 1
        if self._rules:
            self._replies.append(self._clock())
            self._answered += 1
            self._note(self.in_flight, self._answered)
            if not self._starts:
                self._ask_at = -math.inf

    def unused(self) -> None:
        """Note that a started message did not reach the server: another one may use its start."""
        self.in_flight -= 1
        if self._rules:
            now = self._clock()
            self._starts.appendleft(min(now, self._starts[0]) if self._starts else now)
            self._note(self.in_flight, self._answered)

    async def close(self) -> None:
        """Return the unused starts."""
        if self._tending:
            self._tending.cancel()
        while self._asking:
            await self._asking
        self._starts.clear()
        if (self._reported or self._replies) and not self.failure:
            await self._exchange(0)

    @property
    def _open(self) -> int:
        """Granted starts that are unused, in flight, or answered since the last report."""
        return len(self._starts) + self.in_flight + len(self._replies)

    def _drop_stale(self, now: float) -> None:
        """Drop starts that were not used in time.

        A limit's next start may be hours away. A dropped start is returned with the next report,
        and can be granted again at once.
        """
        oldest = math.inf if now >= self._expires_at else now - self.stale_seconds
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
            answered=self._answered,
            stock=list(self._starts),
        )
        try:
            self._take(ask, await self._source.reserve(ask))
        except Exception as error:  # noqa: BLE001 the connection sender raises it
            self.failure = error
        self._asking = None
        self._changed()

    def _take(self, ask: Ask, answer: Starts) -> None:
        now = self._clock()
        self._reported, self._reported_at = ask.open + len(answer.moments), now
        self._expires_at, self._pace = answer.until, answer.per_second
        if ask.rules is self._rules and ask.most:
            self._starts.extend(answer.moments)
            self._held = (answer.hold, answer.hold.until) if answer.hold else None
            later = answer.next_at - _HORIZON_SECONDS
            self._ask_at = now + _POLL_SECONDS if later == math.inf else later
        if self._tending is None:
            self._tend()

    def _tend(self) -> None:
        """Report replies and unused starts that no request has reported, and renew open ones.

        The next request begins it again where nothing is left to report.
        """
        self._tending = None
        if not (self._reported or self._open):
            return
        self._tending = asyncio.get_running_loop().call_later(self.tend_seconds, self._tend)
        now = self._clock()
        self._drop_stale(now)
        is_due = self._reported and now > self._reported_at + _RENEW_SECONDS
        is_changed = self._replies or self._reported != self._open
        if is_due or (is_changed and now > self._reported_at + self.tend_seconds):
            self._exchange_soon(0)
