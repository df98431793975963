"""Hand the recipients of connections that are down over to others, while these send.

The watch is on the loop that sends, and wakes up when a connection rests, goes down or ends. A
connection that goes down gives its recipients away at once, and once more when its messages on
their way are settled, as some of their recipients may still wait then. A connection that rests for
too long does the same, if the campaign says so, and may recover.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

from mailsluice.campaign import Campaign, DownPolicy
from mailsluice.core.beside import beside
from mailsluice.core.moves import Handover
from mailsluice.core.steady import steady
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.elsewhere import SendersElsewhere
from mailsluice.delivery.failover import Condition
from mailsluice.delivery.handovers import Handovers
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.lending.watch import LendingWatch
from mailsluice.smtp.connection import Connection
from mailsluice.store.handovers import HandoverRecords
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0

OnHandover = Callable[[Handover], None]
"""Called after recipients have gone to other connections."""


@asynccontextmanager
async def watched_connections(
    run: CampaignRun,
    campaign: Campaign,
    names: Iterable[str],
    connections: Mapping[str, Connection],
    on_handover: OnHandover = lambda handover: logger.warning(handover.sentence()),
    lending: LendingSettings | None = None,
    *,
    is_elsewhere: bool = False,
) -> AsyncIterator[None]:
    """Watch the connections while the `with` block sends over them.

    Does nothing unless the campaign's policy is that other connections take over, or lend room.

    Args:
        run: The campaign's run.
        campaign: The document.
        names: The connections that the campaign uses.
        connections: The connections with their present settings, by name.
        on_handover: Called after recipients have left a connection in trouble.
        lending: The times of lending.
        is_elsewhere: Whether other processes send.
    """
    names = [*names]
    is_failover = campaign.on_connection_down is DownPolicy.REASSIGN
    if len(names) == 1 or not campaign.may_hand_over:
        yield
        return
    handovers = run.handovers = Handovers(names, names if is_failover else (), campaign.lenders)
    watches: list[FailoverWatch | LendingWatch] = []
    if is_failover:
        after_minutes = campaign.reassign_after_minutes
        watches.append(FailoverWatch(run, handovers, on_handover, after_minutes))
    if campaign.lenders:
        watches.append(LendingWatch(run, campaign, connections, handovers, lending))
    try:
        async with beside(*(run.on_engine(watch.run()) for watch in watches)):
            if not is_elsewhere:
                yield
                return
            run.connections_elsewhere = connections
            async with _told_elsewhere(run, handovers, names, campaign.standbys):
                yield
    finally:
        await asyncio.to_thread(run.await_moves)
        run.end_handovers()


@asynccontextmanager
async def _told_elsewhere(
    run: CampaignRun, handovers: Handovers, names: Iterable[str], standbys: Collection[str]
) -> AsyncIterator[None]:
    """Tell the senders in other processes what moves, while the `with` block sends."""
    records = HandoverRecords(run.database, run.id)
    elsewhere = SendersElsewhere(records, handovers, names, run.on_handover_news, standbys)
    await asyncio.to_thread(records.publish, elsewhere.takers())
    run.elsewhere = elsewhere
    try:
        async with beside(run.on_engine(elsewhere.run())):
            yield
    finally:
        run.elsewhere = None
        with suppress(DatabaseError):  # the end of the run's lease says the same
            await asyncio.to_thread(records.publish, ())


class FailoverWatch:
    """Decides when the recipients of a connection go to others."""

    def __init__(
        self,
        run: CampaignRun,
        handovers: Handovers,
        on_handover: OnHandover,
        after_minutes: int | None = None,
    ) -> None:
        """`after_minutes`: how long a connection rests before it hands its recipients over."""
        self._run = run
        self._handovers = handovers
        self._on_handover = on_handover
        self._after_minutes = after_minutes
        self._done: set[tuple[str, bool]] = set()
        """Connections that have offered their recipients to others, and whether they were down."""

    async def run(self) -> None:
        """Watch until this is cancelled, whatever goes wrong: connections wait for this watch."""
        failure = ""
        while True:
            try:
                self._handovers.changed.clear()
                await self._wait(await self._look())
            except Exception as error:
                if failure != (failure := type(error).__name__):
                    logger.exception("recipients cannot be moved now; the next try follows")
                await asyncio.sleep(_LOOK_SECONDS)

    async def _wait(self, look_at: float) -> None:
        """Wait until something has changed, or this moment has come."""
        timeout = None if look_at == math.inf else max(0.0, look_at - steady())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._handovers.changed.wait()

    async def _look(self) -> float:
        """Hand over what is to be handed over now; returns when to look again."""
        look_at = math.inf
        for name, now in self._handovers.conditions().items():
            if self._run.is_stopping:
                continue
            if now.down and name in self._handovers.leaving():
                await self._hand_over(name, "is down")
                self._handovers.close(name)
            elif now.down and (name, True) not in self._done:
                await self._hand_over(name, "is down")
                self._done.add((name, True))
            elif not now.down and (name, False) not in self._done:
                look_at = min(look_at, await self._rested(name, now))
        return look_at

    async def _rested(self, name: str, now: Condition) -> float:
        """Hand over the recipients of a connection that rests for too long.

        Returns when to look at the connection again. It keeps the recipients that were attempted,
        and sends to them when it works again.
        """
        if now.rests_since is None or self._after_minutes is None:
            return math.inf
        due = now.rests_since + 60 * self._after_minutes
        if due > steady():
            return due
        minutes = "a minute" if self._after_minutes == 1 else f"{self._after_minutes:,} minutes"
        why = f"has rested for {minutes}" if self._after_minutes else "rests"
        if not await self._hand_over(name, why, rest=False):
            return steady() + _LOOK_SECONDS
        self._done.add((name, False))
        return math.inf

    async def _hand_over(self, name: str, why: str, *, rest: bool = True) -> bool:
        """Move a connection's recipients to those that can take them; False where none can."""
        conditions = self._handovers.conditions()
        taking = await asyncio.to_thread(self._run.takers, name, conditions, rest=rest)
        if not taking:
            return False
        await self._handovers.give_back(name)
        try:
            moved = await asyncio.to_thread(self._run.hand_over, name, taking)
        finally:
            self._handovers.receive([name])  # what it keeps, if it goes on
        if moved:
            self._on_handover(Handover(name, why, moved))
        return True
