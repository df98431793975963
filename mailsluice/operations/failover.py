"""Hand the recipients of connections that are down over to others, while these send.

The watch is on the loop that sends, and wakes up when a connection rests, goes down or ends. A
connection that goes down gives its recipients away at once, and once more when its messages on
their way are settled, as some of their recipients may still wait then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from mailsluice.campaign import Campaign, DownPolicy
from mailsluice.core.moves import handed_over
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.handovers import Handovers

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0

OnHandover = Callable[[str], None]
"""Called with a sentence about each move."""


@asynccontextmanager
async def watched_connections(
    run: CampaignRun,
    campaign: Campaign,
    names: Iterable[str],
    on_handover: OnHandover = lambda _: None,
) -> AsyncIterator[None]:
    """Watch the connections while the `with` block sends over them in this process.

    Does nothing unless the campaign's policy is that other connections take over.
    """
    names = [*names]
    if campaign.on_connection_down is not DownPolicy.REASSIGN or len(names) == 1:
        yield
        return
    run.handovers = Handovers(names, names)
    watch = FailoverWatch(run, run.handovers, on_handover)
    watching = asyncio.ensure_future(run.on_engine(watch.run()))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
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
