"""Keep the metrics of a campaign's run while it sends."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mailsluice.campaign import Campaign
from mailsluice.core.beside import beside
from mailsluice.core.steady import steady
from mailsluice.delivery import CampaignRun
from mailsluice.limits import bounds
from mailsluice.metrics.keeper import TICK_SECONDS, Keeper
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.run_numbers import RunNumbers
from mailsluice.smtp.connection import Connection
from mailsluice.store import Providers

logger = logging.getLogger(__name__)


@asynccontextmanager
async def metered(
    run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
) -> AsyncIterator[None]:
    """Keep the metrics of a run while the `with` block sends; enter it after `run.count`.

    The figures are those that the run has anyway, and are read every few seconds. Whatever fails
    here is logged: the campaign goes on.
    """
    keeper = Keeper()
    meter = await _begun(run, campaign, connections)
    if meter is None:
        yield
        return
    last = Numbers()

    async def tick() -> None:
        nonlocal last
        last = meter.now(await run.progress(), await run.figures(), steady(), datetime.now(UTC))
        await asyncio.to_thread(keeper.write, last)

    async def keep() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await _quietly(tick)

    try:
        await _quietly(tick)  # counters of 0, before the first message
        async with beside(keep()):
            yield
    finally:
        await _quietly(tick)
        await asyncio.to_thread(keeper.end, last)


async def _begun(
    run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
) -> RunNumbers | None:
    """The numbers of a run at its start; None, which is logged, where they cannot be read."""
    try:
        return await _begin(run, campaign, connections)
    except Exception as error:  # noqa: BLE001
        logger.warning("the metrics of this run are not kept: %s", type(error).__name__)
        return None


async def _begin(
    run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
) -> RunNumbers:
    providers = await asyncio.to_thread(Providers(run.database).of, run.id)
    shares = await asyncio.to_thread(run.campaigns.shares, run.id)
    limits = {
        name: min(
            (bound.limit.count / bound.limit.window_seconds for bound in found), default=math.inf
        )
        for name, connection in connections.items()
        if (found := bounds(connection, campaign.throttle, shares, name))
    }
    return RunNumbers(await run.progress(), providers, limits)


async def _quietly(tick: Callable[[], Awaitable[None]]) -> None:
    try:
        await tick()
    except Exception as error:  # noqa: BLE001
        logger.debug("the metrics could not be read: %s", type(error).__name__)
