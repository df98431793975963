"""Send a point's messages in simulated time: the engine's own starts and limits, and a simulated
database, network and server.

The delays are those of a busy machine, drawn by a seed. So the figures do not depend on the load of
the machine that computes them, and an hour passes in seconds.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import orjson

from benchmarks.simulated_time import run
from benchmarks.throttle_points import Point
from mailsluice.campaign import Throttle
from mailsluice.delivery.starts import StartStock
from mailsluice.limits import Estate, Report, Rules, Usage, exchange, limits, shared
from mailsluice.store import Ask, Starts
from mailsluice.store.usages import paced

EPOCH = 1_000_000.0
"""The database's clock at the beginning."""
SESSIONS = 20
COMMIT_SECONDS = 0.02  # group commits begin so far apart
_DATABASE_SECONDS = (0.002, 0.03)  # a commit takes so long
_CLOCK_SECONDS = 0.001  # how well a process knows the database's clock
_LATE_SECONDS = (0.0, 0.002)  # a timer is so late
_WAY_SECONDS = (0.0001, 0.0005)  # on loopback
_SERVER_SECONDS = (0.0002, 0.001)  # to reply
_RESTART_SECONDS = 1.5  # from a kill to the first start of the next run
_LEASE_SECONDS = 30.0


@dataclass(slots=True)
class World:
    """The simulated database, network and servers."""

    chance: random.Random
    round_trip_seconds: float
    round_trips: int = 2
    """A message's, where no other one is on its way: one for its envelope, one for its body."""
    usages: dict[str, Usage] = field(default_factory=dict)
    arrivals: dict[str, list[float]] = field(default_factory=dict)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def between(self, bounds: tuple[float, float]) -> float:
        """A delay within these bounds, in seconds."""
        return self.chance.uniform(*bounds)

    def way(self) -> float:
        """The seconds that a message or a reply takes from one side to the other."""
        return self.round_trip_seconds / 2 + self.between(_WAY_SECONDS)

    async def reserve(self, ask: Ask) -> Starts:
        """Answer with the next group commit. Makes this a `StartSource`."""
        tick = COMMIT_SECONDS - self.now % COMMIT_SECONDS
        await asyncio.sleep(tick + self.between(_DATABASE_SECONDS))
        starts = self.exchanged(ask)
        await asyncio.sleep(self.between(_DATABASE_SECONDS))
        return starts

    def exchanged(self, ask: Ask) -> Starts:
        """Report to the limits and grant starts, as the transaction does."""
        now = EPOCH + self.now
        for key in ask.rules:
            state = orjson.dumps(self.usages.get(key, Usage()).to_json())
            self.usages[key] = Usage.from_json(orjson.loads(state))
        under = [(self.usages[key], rules) for key, rules in ask.rules.items()]
        replies = [min(now, EPOCH + reply + _CLOCK_SECONDS) for reply in ask.replies]
        stock = [EPOCH + moment - _CLOCK_SECONDS for moment in ask.stock]
        report = Report(ask.holder, ask.open, replies, ask.answered, stock)
        moments, next_at = exchange(under, report, now, now + ask.horizon_seconds, ask.most)
        local = [moment - EPOCH + _CLOCK_SECONDS for moment in moments]
        return Starts(local, next_at - EPOCH, None, now - EPOCH + _LEASE_SECONDS, paced(under))


class Sender:
    """A process's sessions of one connection."""

    def __init__(
        self,
        world: World,
        name: str,
        messages: int,
        sessions: int,
        holder: str,
    ) -> None:
        self.left = messages
        self._answered = asyncio.Event()
        self._world = world
        self._name = name
        self._free = sessions
        self._holder = holder
        self._account = (0, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead = False
        self._stock = StartStock(
            holder,
            world,
            clock=asyncio.get_running_loop().time,
            changed=self._serve,
            note=self._note,
        )

    def follow(self, rules: Mapping[str, Rules]) -> None:
        self._stock.follow(rules)
        self._serve()

    async def done_with(self, messages: int) -> None:
        """Wait until so many messages are answered."""
        while self._account[1] < messages:
            self._answered.clear()
            await self._answered.wait()

    async def finish(self, messages: int) -> None:
        """Send so many messages, and return the starts that are left."""
        await self.done_with(messages)
        await self._stock.close()

    def kill(self) -> Estate:
        """End at once, with messages on their way; returns what the journal says."""
        self._dead = True
        if self._timer:
            self._timer.cancel()
        return Estate(self._holder, *self._account)

    def _note(self, in_flight: int, answered: int) -> None:
        self._account = (in_flight, answered)

    def _serve(self) -> None:
        if self._dead:
            return
        if self._timer:
            self._timer.cancel()
        now = self._world.now
        while self._free and self.left:
            at = self._stock.ready_at(now)
            if at > now:
                if at < math.inf:
                    late = self._world.between(_LATE_SECONDS)
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_at(at + late, self._serve)
                return
            self._stock.started()
            self._free -= 1
            self.left -= 1
            task = asyncio.ensure_future(self._message())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _message(self) -> None:
        world = self._world
        for _ in range(world.round_trips - 1):
            await asyncio.sleep(world.way() + world.between(_SERVER_SECONDS) + world.way())
            if self._dead:
                return
        await asyncio.sleep(world.way())
        world.arrivals.setdefault(self._name, []).append(world.now)
        await asyncio.sleep(world.between(_SERVER_SECONDS) + world.way())
        if self._dead:
            return
        self._stock.finished()
        self._free += 1
        self._answered.set()
        self._serve()


def simulate(
    point: Point, world: World | None = None, seconds: float = math.inf
) -> tuple[dict[str, list[float]], float]:
    """Send for so many seconds at most.

    Returns:
        The arrivals of the messages by connection, and from when the use counts.
    """
    world = world or World(random.Random(1), point.round_trip_seconds)
    since = run(_simulated(point, world, seconds))
    return {name: sorted(times) for name, times in world.arrivals.items()}, since


async def _simulated(point: Point, world: World, seconds: float) -> float:
    try:
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            return await _sent(point, world)
    except TimeoutError:
        return 0.0


async def _sent(point: Point, world: World) -> float:
    since = 0.0
    senders = [one for number in range(point.campaigns) for one in _campaign(point, number, world)]
    if point.kill_after:
        (part,) = senders
        await part.sender.done_with(point.kill_after)
        estate = part.sender.kill()
        for key in part.rules:
            world.usages[key].estates.append(estate)
        await asyncio.sleep(_RESTART_SECONDS)
        since = world.now
        senders = [_heir(part, world)]
    await asyncio.gather(*(part.sender.finish(part.messages) for part in senders))
    return since


@dataclass(frozen=True, slots=True)
class _Part:
    """A campaign's part of one connection."""

    name: str
    messages: int
    rules: Mapping[str, Rules]
    sessions: int
    sender: Sender


def _campaign(point: Point, number: int, world: World) -> list[_Part]:
    names = point.connections
    percents = point.percents or (100 // len(names),) * len(names)
    shares = {name: Decimal(share) / 100 for name, share in zip(names, percents, strict=True)}
    throttle = Throttle(**point.throttle)
    parts = shared(throttle, shares)
    sessions = SESSIONS // len(names) // point.campaigns
    out = []
    for name, percent in zip(names, percents, strict=True):
        own = Throttle(**point.own.get(name, {}))
        every = {
            f"campaign {number}": Rules(limits(throttle)),
            f"campaign {number} {name}": Rules(parts[name]),
            f"connection {name}": Rules(limits(own)),
        }
        rules = {key: rule for key, rule in every.items() if rule}
        messages = point.messages * percent // 100
        sender = Sender(world, name, messages, sessions, f"run {number} {name}")
        sender.follow(rules)
        out.append(_Part(name, messages, rules, sessions, sender))
    return out


def _heir(dead: _Part, world: World) -> _Part:
    left = dead.sender.left
    heir = Sender(world, dead.name, left, dead.sessions, f"heir {dead.name}")
    heir.follow(dead.rules)
    return _Part(dead.name, left, dead.rules, dead.sessions, heir)
