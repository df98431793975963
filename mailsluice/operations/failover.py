"""Hand the recipients of connections that are down over to others, while these send.

The watch is on the loop that sends, and wakes up when a connection rests, goes down or ends. A
connection that goes down gives its recipients away at once, and once more when its messages on
their way are settled, as some of their recipients may still wait then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from mailsluice.campaign import Campaign, DownPolicy
from mailsluice.core.moves import handed_over
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.handovers import Handovers
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.lending.watch import LendingWatch
from mailsluice.smtp.connection import Connection

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0

OnHandover = Callable[[str], None]
"""Called with a sentence about each move."""


@asynccontextmanager
async def watched_connections(
    run: CampaignRun,
    campaign: Campaign,
    names: Iterable[str],
    connections: Mapping[str, Connection],
    on_handover: OnHandover = lambda _: None,
    lending: LendingSettings | None = None,
) -> AsyncIterator[None]:
    """Watch the connections while the `with` block sends over them in this process.

    Does nothing unless the campaign's policy is that other connections take over, or lend room.
    """
    names = [*names]
    is_failover = campaign.on_connection_down is DownPolicy.REASSIGN
    if len(names) == 1 or not (is_failover or campaign.lenders):
        yield
        return
    handovers = run.handovers = Handovers(names, names if is_failover else (), campaign.lenders)
    watches: list[FailoverWatch | LendingWatch] = []
    if is_failover:
        watches.append(FailoverWatch(run, handovers, on_handover))
    if campaign.lenders:
        watches.append(LendingWatch(run, campaign, connections, handovers, lending))
    watching = [asyncio.ensure_future(run.on_engine(watch.run())) for watch in watches]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        run.end_handovers()


class FailoverWatch:
    """Decides when the recipients of a connection go to others."""

    def __init__(self, run: CampaignRun, handovers: Handovers, on_handover: OnHandover) -> None:
        self._run = run
        self._handovers = handovers
        self._on_handover = on_handover
        self._given_away: set[str] = set()
        """Connections that were found down, and whose recipients were offered to others."""

    async def run(self) -> None:
        """Watch until this is cancelled, whatever goes wrong: connections wait for this watch."""
        failure = ""
        while True:
            try:
                self._handovers.changed.clear()
                await self._look()
                await self._handovers.changed.wait()
            except Exception as error:
                if failure != (failure := type(error).__name__):
                    logger.exception("recipients cannot be moved now; the next try follows")
                await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        for name, now in self._handovers.conditions().items():
            if self._run.is_stopping or not now.down:
                continue
            if name in self._handovers.leaving():
                await self._hand_over(name)
                self._handovers.close(name)
            elif name not in self._given_away:
                await self._handovers.give_back(name)
                await self._hand_over(name)
                self._given_away.add(name)

    async def _hand_over(self, name: str) -> None:
        conditions = self._handovers.conditions()
        moved = await asyncio.to_thread(self._run.hand_over, name, conditions)
        if moved:
            sentence = handed_over(name, moved)
            logger.warning(sentence)
            self._on_handover(sentence)
