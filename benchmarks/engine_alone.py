"""The engine's send loop alone: no other thread, a store in memory, a real server.

The processor time is that of everything that the engine's thread does for a message in a campaign.
What a campaign takes beyond that is for the threads beside it: they wait for each other, and their
data pushes that of the engine out of the caches.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any, cast

import orjson

from benchmarks import document
from benchmarks.processes import BenchmarkError
from mailsluice.campaign import Message, Provider, ProviderThrottle, SenderIdentity
from mailsluice.core.steady import steady
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.connection_state import SenderContext
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.provider_rules import ProviderRules
from mailsluice.delivery.rule_book import ConnectionRules
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.message import compile_message, new_key
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.dkim.settings import Dkim
from mailsluice.smtp.login import open_session
from mailsluice.store import EVERYBODY, Ask, Claimed, ClaimScope, Settled, Starts

VARIABLES = orjson.dumps(document.SAMPLE).decode()
_BYTES = 2_000
_GAP_SECONDS = 1e-4  # between two starts to a mailbox provider: far more than are needed
_NO_KEYS = Dkim()
_OTHERS = 9
"""The number of a mailbox provider without a limit."""


class MemoryStore:
    """The recipients of one connection in memory, with the interface of the store's thread."""

    has_peers = False

    def __init__(self, rows: Sequence[Claimed], journal: Journal) -> None:
        self._rows = iter(rows)
        self._journal = journal
        self._settled: list[int] = []

    async def claim(self, _: str, limit: int, __: ClaimScope = EVERYBODY) -> ClaimedBatch:
        """Return the next recipients; their predecessors' outcomes count as committed."""
        await asyncio.sleep(0)
        self._journal.forget(self._settled)
        self._settled.clear()
        return ClaimedBatch(list(islice(self._rows, limit)), None)

    async def reserve(self, ask: Ask) -> Starts:
        """Grant what is asked for: the limits are for the store's thread to compute."""
        await asyncio.sleep(0)
        begin = max(steady(), *ask.stock[-1:], -math.inf)
        until = steady() + ask.horizon_seconds
        starts = (
            []
            if not ask.most
            else [
                begin + number * _GAP_SECONDS
                for number in range(int((until - begin) / _GAP_SECONDS))
            ]
        )
        return Starts(starts, until, None, until + 30.0)

    def settle(self, settled: Settled) -> None:
        self._settled.append(settled.id)

    def release(self, ids: Iterable[int]) -> None:
        """Do nothing: no recipient is left when the sending ends."""

    async def flush(self) -> None:
        """Do nothing."""


async def send(
    messages: int,
    ports: Sequence[int],
    sessions: int,
    folder: Path,
    provider: Provider = Provider.NONE,
    limited: Sequence[str] = (),
    dkim: Dkim = _NO_KEYS,
) -> float:
    """Send so many messages; returns this thread's processor time for each, in microseconds.

    Mailbox providers that are `limited` have a limit of their own. Together they have half of the
    recipients, and the limits are so high that they do not delay them. With `dkim`, messages are
    signed.
    """
    names = [f"smtp-{number}" for number, _ in enumerate(ports)]
    message = compile_message(
        Message(**document.message(_BYTES)),
        campaign="cost",
        columns=document.COLUMNS,
        now=lambda: datetime.now(UTC),
        return_key=new_key(),
        identity=SenderIdentity(provider=provider),
    )
    journal = Journal(folder / "alone.journal")
    journal.start()
    each = messages // len(ports)
    senders = []
    for number, (name, port) in enumerate(zip(names, ports, strict=True)):
        ids = range(number * each + 1, number * each + each + 1)
        hosts = cycle([*range(1, len(limited) + 1), *[_OTHERS] * max(1, len(limited))])
        rows = [
            Claimed(one, f"user{one}@example.com", VARIABLES, 0, 0.0, host)
            for one, host in zip(ids, hosts, strict=False)
        ]
        high = tuple(ProviderThrottle(provider=host, per_second=10_000) for host in limited)
        senders.append(
            ConnectionSender(
                Connection(
                    name,
                    "127.0.0.1",
                    port,
                    Security.NONE,
                    max_sessions=sessions // len(ports),
                    dkim=dkim,
                ),
                message,
                SenderContext(cast("Any", MemoryStore(rows, journal)), journal),
                open_session=open_session,
                rules=ConnectionRules({}, ProviderRules(name, own=high)) if limited else None,
                providers=dict(enumerate(limited, 1)),
            )
        )
    before = time.thread_time()
    try:
        await asyncio.gather(*(sender.run() for sender in senders))
        seconds = time.thread_time() - before
    finally:
        journal.close()
    sent = sum(sender.sent for sender in senders)
    if sent != each * len(ports):
        raise BenchmarkError(f"{sent} of {each * len(ports)} messages were sent")
    return seconds * 1e6 / sent
