"""Simulate slow limits: the engine's pure part, with a simulated clock and network."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from benchmarks.throttle_points import Point
from mailsluice.campaign import Throttle
from mailsluice.limits import Rates, Rules, Usage, give_out, limits, shared

_HORIZON_SECONDS = 0.25
_LOW_SECONDS = 0.12
_POLL_SECONDS = 0.1
_HOLDER_SECONDS = 30.0
_TRIP_SECONDS = 0.2
"""The longest delays to the server and back, in seconds."""


@dataclass(slots=True)
class _Connection:
    """The engine's state of one connection."""

    name: str
    left: int
    starts: deque[float] = field(default_factory=deque)
    in_flight: int = 0
    replies: list[float] = field(default_factory=list)
    ask_at: float = -math.inf
    ticket: int = -1
    """The number of the next wake-up; older ones are void."""
    arrivals: list[float] = field(default_factory=list)


class Simulation:
    """Sends a point's messages over its connections until all are answered."""

    def __init__(self, point: Point, seed: int = 1) -> None:
        throttle = Throttle(**point.throttle)
        percents = point.percents or (100 // len(point.connections),) * len(point.connections)
        shares = {
            name: Decimal(percent) / 100
            for name, percent in zip(point.connections, percents, strict=True)
        }
        self._rules = _rules(throttle, shares)
        self._usages = {key: Usage() for rules in self._rules.values() for key in rules}
        self._chance = random.Random(seed)
        self._tickets = itertools.count()
        self._events: list[tuple[float, int, _Connection, bool]] = []
        self._connections = [
            _Connection(name, point.messages * percent // 100)
            for name, percent in zip(point.connections, percents, strict=True)
        ]

    def run(self) -> dict[str, list[float]]:
        """The arrival times of messages, by connection, in order, in seconds."""
        for one in self._connections:
            self._wake(one, 1_000_000.0)
        while self._events:
            now, ticket, one, is_reply = heapq.heappop(self._events)
            if is_reply:
                one.in_flight -= 1
                one.replies.append(now)
                one.ask_at = one.ask_at if one.starts else now
            elif ticket != one.ticket:
                continue
            self._step(one, now)
        return {one.name: sorted(one.arrivals) for one in self._connections}

    def _step(self, one: _Connection, now: float) -> None:
        if now >= one.ask_at and (not one.starts or one.starts[-1] < now + _LOW_SECONDS):
            self._ask(one, now)
        while one.left and one.starts and one.starts[0] <= now:
            self._start(one, now)
        if one.left:
            self._wake(one, max(now + 1e-3, one.starts[0] if one.starts else one.ask_at))

    def _start(self, one: _Connection, now: float) -> None:
        one.starts.popleft()
        one.left -= 1
        one.in_flight += 1
        arrival = now + self._chance.uniform(0, _TRIP_SECONDS)
        one.arrivals.append(arrival)
        reply = arrival + self._chance.uniform(0, _TRIP_SECONDS)
        heapq.heappush(self._events, (reply, next(self._tickets), one, True))

    def _wake(self, one: _Connection, at: float) -> None:
        one.ticket = next(self._tickets)
        heapq.heappush(self._events, (at, one.ticket, one, False))

    def _ask(self, one: _Connection, now: float) -> None:
        rules, until = self._rules[one.name], now + _HOLDER_SECONDS
        open_, replies, one.replies = len(one.starts) + one.in_flight, one.replies, []
        for key, under in rules.items():
            self._usages[key].report(one.name, open_, until, replies, under)
            self._usages[key].expire(now, under)
        known = [(self._usages[key], under) for key, under in rules.items()]
        moments, next_at = give_out(known, now, now + _HORIZON_SECONDS, one.left)
        for key, under in rules.items():
            self._usages[key].report(one.name, open_ + len(moments), until, (), under)
        one.starts.extend(moments)
        one.ask_at = now + _POLL_SECONDS if next_at == math.inf else next_at - _HORIZON_SECONDS


def _rules(throttle: Rates, shares: Mapping[str, Decimal]) -> dict[str, dict[str, Rules]]:
    """The limits that apply to each connection."""
    whole, each = Rules(limits(throttle)), shared(throttle, shares)
    return {name: {"campaign": whole, name: Rules(each[name])} for name in shares}
