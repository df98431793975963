"""A connection's sender in simulated time: recipients in memory, limits, network and a server."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from benchmarks.throttle_simulation import World
from mailsluice.campaign import ProviderThrottle, Throttle
from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.connection_state import SenderContext
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.provider_rules import ProviderRules
from mailsluice.delivery.rule_book import ConnectionRules
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.limits import Rules, limits
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Feed
from mailsluice.store import EVERYBODY, Ask, Claimed, ClaimScope, Settled, Starts

TAKEN = Attempt(Phase.BODY, 250, "2.0.0 taken")
_CLAIM_SECONDS = 0.03

Reply = Callable[[int, float], Attempt]
"""What the server says to a message: of the recipient's provider, and the moment."""


@dataclass(slots=True)
class Recipient:
    """A row of the outbox."""

    provider: int
    status: RecipientStatus = RecipientStatus.PENDING
    attempts: int = 0
    due_at: float = 0.0


@dataclass(slots=True)
class LaneWorld(World):
    """The outbox of a connection, with the interface of the store thread; limits, and a network."""

    recipients: dict[int, Recipient] = field(default_factory=dict)
    left: dict[int, Recipient] = field(default_factory=dict)
    """The recipients that are not settled for good, by id, in send order."""
    sending: Counter[int] = field(default_factory=Counter)
    claims: list[tuple[ClaimScope, int]] = field(default_factory=list)
    """The scope of each claim so far, and its size."""
    most_sending: Counter[int] = field(default_factory=Counter)
    """The most recipients that were claimed and not settled at once, by provider."""
    asking: int = 0
    most_asking: int = 0
    asks: int = 0
    by_provider: dict[int, list[float]] = field(default_factory=dict)
    """The arrivals of messages at the server."""
    has_peers: bool = False
    sessions: int = 0
    """Open sessions."""

    def fill(self, providers: Sequence[int]) -> None:
        """Add recipients of these providers, in send order."""
        self.recipients = {
            number: Recipient(provider) for number, provider in enumerate(providers, 1)
        }
        self.left = dict(self.recipients)

    def count(self, status: RecipientStatus, provider: int | None = None) -> int:
        return sum(
            one.status is status and provider in (None, one.provider)
            for one in self.recipients.values()
        )

    async def claim(
        self, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> ClaimedBatch:
        assert connection == "red"
        await asyncio.sleep(_CLAIM_SECONDS)
        now, due = self.now, math.inf
        taken: list[Claimed] = []
        for number, one in self.left.items():
            if len(taken) == limit:
                break
            if one.provider in scope.without or scope.only not in (None, one.provider):
                continue
            if one.status is RecipientStatus.DEFERRED and one.due_at > now:
                due = min(due, one.due_at - now)
            elif one.status is not RecipientStatus.SENDING:
                self._claim(one)
                taken.append(
                    Claimed(number, "a@example.com", "{}", one.attempts, 0.0, one.provider)
                )
        self.claims.append((scope, len(taken)))
        return ClaimedBatch(taken, None if taken or due == math.inf else due)

    def _claim(self, one: Recipient) -> None:
        one.status = RecipientStatus.SENDING
        self.sending[one.provider] += 1
        self.most_sending[one.provider] = max(
            self.most_sending[one.provider], self.sending[one.provider]
        )

    def _unclaim(self, number: int) -> Recipient:
        one = self.recipients[number]
        assert one.status is RecipientStatus.SENDING
        self.sending[one.provider] -= 1
        return one

    async def reserve(self, ask: Ask) -> Starts:
        self.asks += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            return await World.reserve(self, ask)
        finally:
            self.asking -= 1

    def settle(self, settled: Settled) -> None:
        one = self._unclaim(settled.id)
        one.status, one.attempts = settled.status, settled.attempts
        one.due_at = self.now + (settled.delay_seconds or 0.0)
        if one.status is not RecipientStatus.DEFERRED:
            del self.left[settled.id]

    def release(self, ids: Iterable[int]) -> None:
        for number in ids:
            self._unclaim(number).status = RecipientStatus.PENDING

    async def flush(self) -> None:
        """Do nothing: everything is recorded at once."""


class _Session:
    """A session that sends one message after the other. Implements `Session`."""

    def __init__(self, world: LaneWorld, reply: Reply) -> None:
        self._world = world
        self._reply = reply

    async def send(self, feed: Feed) -> None:
        world = self._world
        world.sessions += 1
        try:
            await self._send(feed)
        finally:
            world.sessions -= 1

    async def _send(self, feed: Feed) -> None:
        world = self._world
        while (envelope := await feed.next()) is not None:
            feed.dot(envelope)
            await asyncio.sleep(world.way())
            provider = world.recipients[envelope.recipient_id].provider
            world.by_provider.setdefault(provider, []).append(world.now)
            world.arrivals.setdefault("all", []).append(world.now)
            attempt = self._reply(provider, world.now)
            await asyncio.sleep(world.way())
            feed.settled(envelope, attempt)

    def abort(self) -> None:
        """Do nothing: there is no link."""


class Message:
    """A message that is the same for everybody."""

    def render(self, number: int, email: str, _: object) -> Envelope:
        return Envelope(number, "s@example.com", email, b"")


def rules(
    own: Mapping[str, int] | None = None,
    *per_provider: dict[str, Any],
    campaign: Sequence[dict[str, Any]] = (),
) -> ConnectionRules:
    """The limits of the connection `red`: of all mail, and of single providers."""
    return ConnectionRules(
        {"connection red": Rules(limits(Throttle(**(own or {}))))},
        ProviderRules(
            "red",
            1,
            tuple(ProviderThrottle(**entry) for entry in per_provider),
            tuple(ProviderThrottle(**entry) for entry in campaign),
            {"red": Decimal("0.5"), "green": Decimal("0.5")},
        ),
    )


def sender_in(
    world: LaneWorld,
    folder: Path,
    names: Sequence[str],
    under: ConnectionRules | None,
    *,
    sessions: int = 20,
    reply: Reply = lambda _provider, _now: TAKEN,
    opens_at: Callable[[float], float] = lambda now: now,
    may_receive: Callable[[str], bool] = lambda _connection: False,
    is_open: Callable[[int], bool] | None = None,
) -> ConnectionSender:
    """The sender over the connection `red`; `names` are the providers 1, 2, ..."""
    journal = Journal(folder / f"{random.randrange(10**9)}.journal")
    journal.start()

    async def open_session(_: Connection) -> _Session:
        await asyncio.sleep(world.way())
        return _Session(world, reply)

    return ConnectionSender(
        Connection("red", "127.0.0.1", 25, max_sessions=sessions),
        cast("Any", Message()),
        SenderContext(
            cast("Any", world),
            journal,
            opens_at,
            clock=asyncio.get_running_loop().time,
            chance=lambda: 0.5,
            may_receive=may_receive,
            is_open=is_open,
        ),
        open_session=open_session,
        rules=under,
        providers=dict(enumerate(names, 1)),
    )
