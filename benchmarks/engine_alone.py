"""The engine's send loop alone: no other thread, a store in memory, a real server.

The processor time is that of everything that the engine's thread does for a message in a campaign.
What a campaign takes beyond that is for the threads beside it: they wait for each other, and their
data pushes that of the engine out of the caches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

import orjson

from benchmarks import document
from benchmarks.processes import BenchmarkError
from mailsluice.campaign import Message, Provider, SenderIdentity
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.connection_state import SenderContext
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.message import compile_message, new_key
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.store import EVERYBODY, Claimed, ClaimScope, Settled

VARIABLES = orjson.dumps(document.SAMPLE).decode()
_BYTES = 2_000


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
) -> float:
    """Send so many messages; returns this thread's processor time for each, in microseconds."""
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
        rows = [Claimed(one, f"user{one}@example.com", VARIABLES, 0, 0.0) for one in ids]
        senders.append(
            ConnectionSender(
                Connection(
                    name, "127.0.0.1", port, Security.NONE, max_sessions=sessions // len(ports)
                ),
                message,
                SenderContext(cast("Any", MemoryStore(rows, journal)), journal),
                open_session=open_session,
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
