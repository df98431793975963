"""Connections that claim from one pool, in simulated time: the engine's own senders and limits."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, cast

from benchmarks.simulated_time import run
from benchmarks.throttle_simulation import COMMIT_SECONDS, EPOCH, World
from mailsluice.campaign import ProviderThrottle, Throttle
from mailsluice.core.outcome import Attempt
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.connection_state import SenderContext
from mailsluice.delivery.journal import Journal, connection_of
from mailsluice.delivery.pool import Pool, Turns
from mailsluice.delivery.provider_rules import ProviderRules
from mailsluice.delivery.rule_book import ConnectionRules
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.limits import Cap, Rules, limits
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Feed
from mailsluice.store import EVERYBODY, Ask, Claimed, ClaimScope, Settled, Starts
from tests.unit.lane_world import TAKEN, Message, Recipient, Reply

_CLAIM_SECONDS = 0.03


@dataclass
class Server:
    """A connection with its limits, and the server behind it."""

    name: str
    seconds: float = 0.05
    """How long a session is busy with a message."""
    sessions: int = 10
    limits: Mapping[str, int] = field(default_factory=dict)
    cap: int | None = None
    """The most messages of the day."""
    providers: Sequence[Mapping[str, Any]] = ()
    """Limits of single mailbox providers."""
    reply: Reply = lambda _provider, _now: TAKEN
    opens_at: Callable[[float], float] = lambda now: now
    """When mail may go over this connection."""


@dataclass(slots=True)
class PoolWorld(World):
    """The outbox of a campaign, with the interface of the store thread."""

    recipients: dict[int, Recipient] = field(default_factory=dict)
    left: dict[int, Recipient] = field(default_factory=dict)
    """The recipients that are not settled for good, by id, in send order."""
    of: dict[int, str] = field(default_factory=dict)
    """The connection that has claimed a recipient; none for those in the pool."""
    sent: dict[str, list[float]] = field(default_factory=dict)
    """The moments of the outcomes, by connection."""
    claims: Counter[str] = field(default_factory=Counter)
    returned: int = 0
    has_peers: bool = False
    turns: Turns = field(default_factory=lambda: Turns({}))
    asks: list[tuple[Ask, asyncio.Future[Starts]]] = field(default_factory=list)
    """The requests of the next group commit, each with its answer."""

    def fill(self, providers: Sequence[int]) -> None:
        """Add recipients of these providers, in send order."""
        self.recipients = dict(enumerate(map(Recipient, providers), 1))
        self.left = dict(self.recipients)

    async def claim(
        self, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> ClaimedBatch:
        await asyncio.sleep(_CLAIM_SECONDS)
        self.claims[connection] += 1
        if not limit:
            is_left = len(self.of) < len(self.recipients)
            return ClaimedBatch((), None, look_in_seconds=1.0 if is_left else None)
        mine = [n for n, name in self.of.items() if name == connection and n in self.left]
        pool = (n for n in self.left if n not in self.of)
        taken: list[Claimed] = []
        due = math.inf
        for number in chain(mine, pool):
            one = self.recipients[number]
            if len(taken) == limit:
                break
            if one.provider in scope.without or scope.only not in (None, one.provider):
                continue
            if one.status is RecipientStatus.DEFERRED and one.due_at > self.now:
                due = min(due, one.due_at - self.now)
            elif one.status in (RecipientStatus.PENDING, RecipientStatus.DEFERRED):
                one.status, self.of[number] = RecipientStatus.SENDING, connection
                taken.append(
                    Claimed(number, "a@example.com", "{}", one.attempts, 0.0, one.provider)
                )
        return ClaimedBatch(taken, None if taken or due == math.inf else due)

    async def reserve(self, ask: Ask) -> Starts:
        """Answer in the next group commit, to those first whose turn it is."""
        answer: asyncio.Future[Starts] = asyncio.get_running_loop().create_future()
        self.asks.append((ask, answer))
        if len(self.asks) == 1:
            asyncio.get_running_loop().call_later(COMMIT_SECONDS, self._commit)
        return await answer

    def _commit(self) -> None:
        asks, self.asks = self.asks, []
        names = [connection_of(ask.holder) for ask, _ in asks]
        for index in self.turns.order(names):
            ask, answer = asks[index]
            starts = self.exchanged(ask)
            self.turns.given(names[index], len(starts.moments))
            answer.set_result(starts)

    def settle(self, settled: Settled) -> None:
        one = self.recipients[settled.id]
        assert one.status is RecipientStatus.SENDING
        one.status, one.attempts = settled.status, settled.attempts
        one.due_at = self.now + (settled.delay_seconds or 0.0)
        if one.status is not RecipientStatus.DEFERRED:
            del self.left[settled.id]
        if one.status is RecipientStatus.SENT:
            self.sent.setdefault(self.of[settled.id], []).append(self.now)

    def release(self, ids: Iterable[int]) -> None:
        for number in ids:
            one = self.recipients[number]
            assert one.status is RecipientStatus.SENDING
            one.status = RecipientStatus.PENDING
            self.returned += 1
            if not one.attempts:
                del self.of[number]

    async def flush(self) -> None:
        """Do nothing: everything is recorded at once."""

    def states(self) -> Counter[RecipientStatus]:
        return Counter(one.status for one in self.recipients.values())

    def shares(self) -> dict[str, float]:
        """The part of all sent mail that each connection has."""
        counts = {name: len(times) for name, times in self.sent.items()}
        return {name: count / sum(counts.values()) for name, count in counts.items()}

    @property
    def end(self) -> float:
        """The moment of the last outcome."""
        return max(times[-1] for times in self.sent.values())


class _Session:
    """A session that sends one message after the other. Implements `Session`."""

    def __init__(self, world: PoolWorld, server: Server) -> None:
        self._world = world
        self._server = server

    async def send(self, feed: Feed) -> None:
        world, server = self._world, self._server
        while (envelope := await feed.next()) is not None:
            feed.dot(envelope)
            await asyncio.sleep(server.seconds / 2)
            world.arrivals.setdefault(server.name, []).append(world.now)
            world.arrivals.setdefault("all", []).append(world.now)
            provider = world.recipients[envelope.recipient_id].provider
            attempt: Attempt = server.reply(provider, world.now)
            await asyncio.sleep(server.seconds / 2)
            feed.settled(envelope, attempt)

    def abort(self) -> None:
        """Do nothing: there is no link."""


def send(
    world: PoolWorld,
    folder: Path,
    servers: Sequence[Server],
    names: Sequence[str] = ("unresolved",),
    *,
    campaign: Mapping[str, int] | None = None,
    opens_at: Mapping[str, float] | None = None,
    during: Any = None,
) -> float:
    """Send over all connections until nothing is left; returns when the last sender ended.

    Args:
        world: The outbox.
        folder: For the journals.
        servers: The connections.
        names: The mailbox providers 1, 2, ...
        campaign: The limits of the whole campaign.
        opens_at: The moment at which a connection begins, where that is not 0.
        during: Called with the senders by name, once they have begun.
    """

    async def sending() -> float:
        pool, loop = Pool(), asyncio.get_running_loop()
        senders = {
            server.name: _sender(world, folder, server, names, pool, campaign or {})
            for server in servers
        }

        async def one(name: str) -> None:
            await asyncio.sleep((opens_at or {}).get(name, 0.0))
            await senders[name].run()

        if during:
            during(loop, senders)
        await asyncio.gather(*map(one, senders))
        return loop.time()

    return run(sending())


def _sender(
    world: PoolWorld,
    folder: Path,
    server: Server,
    names: Sequence[str],
    pool: Pool,
    campaign: Mapping[str, int],
) -> ConnectionSender:
    journal = Journal(folder / f"{random.randrange(10**9)}.journal")
    journal.start()

    async def open_session(_: Connection) -> _Session:
        await asyncio.sleep(2 * server.seconds)
        return _Session(world, server)

    caps = () if server.cap is None else (Cap(EPOCH, EPOCH + 86_400, server.cap),)
    own = tuple(ProviderThrottle.model_validate(entry) for entry in server.providers)
    rules = ConnectionRules(
        {
            f"connection {server.name}": Rules(limits(Throttle(**server.limits)), caps),
            "campaign 1": Rules(limits(Throttle(**campaign)), is_common=True),
        },
        ProviderRules(server.name, 1, own),
    )
    return ConnectionSender(
        Connection(server.name, "127.0.0.1", 25, max_sessions=server.sessions),
        cast("Any", Message()),
        SenderContext(
            cast("Any", world),
            journal,
            server.opens_at,
            clock=asyncio.get_running_loop().time,
            pool=pool,
            chance=lambda: 0.5,
        ),
        open_session=open_session,
        rules=rules,
        providers=dict(enumerate(names, 1)),
    )
