"""Set the pace of a campaign again and again while the campaign is sent."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mailsluice.campaign import Campaign
from mailsluice.campaign.finish import Span
from mailsluice.core.beside import beside
from mailsluice.core.steady import steady
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.rule_book import pace_key
from mailsluice.limits import Spread, bounds
from mailsluice.operations.finish.checking import refuse_far
from mailsluice.operations.finish.pacing import (
    Capability,
    ends_at,
    look_in_seconds,
    spread,
    spread_until,
)
from mailsluice.operations.finish.telling import FinishTeller
from mailsluice.operations.looking import look_again
from mailsluice.operations.quotas import quota_uses
from mailsluice.reports.progress import Cause, Finish
from mailsluice.smtp.connection import Connection
from mailsluice.store.finishes import Finishes, Left

logger = logging.getLogger(__name__)


@asynccontextmanager
async def finishing(
    run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
) -> AsyncIterator[None]:
    """Keep the pace while the `with` block sends, if the campaign has a finish time.

    The pace is set when the block begins. Raises CampaignError where the finish time is years away.
    """
    watch = FinishWatch(run, campaign, connections)
    if not campaign.is_paced and run.record.finish_at is None:
        yield
        return
    if not await asyncio.to_thread(watch.begin):
        yield
        return
    async with beside(watch.run()):
        yield


class FinishWatch:
    """Sets the pace of a campaign's connections again and again."""

    def __init__(
        self, run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
    ) -> None:
        self._run = run
        self._campaign = campaign
        self._connections = connections
        self._finishes = Finishes(run.database, run.id)
        self._span: Span | None = None
        self._capabilities: defaultdict[str, Capability] = defaultdict(Capability)
        self._assigned: dict[str, int] = {}
        self._teller = FinishTeller(campaign.sending_window.timezone or "UTC")

    def begin(self) -> bool:
        """Set the pace for the first time; returns whether there is any. Blocking."""
        database, window = self._run.database, self._campaign.sending_window
        moment = database.moment()
        span = self._finishes.begin(window.opens_at(moment), self._campaign.finish_at)
        if span is None:
            return False
        refuse_far(span[1], moment)
        self._span = Span(window, *span)
        routes = self._run.campaigns.routes(self._run.id)
        self._assigned = {route.connection: route.assigned for route in routes}
        self._look(self._span, {})
        return True

    async def run(self) -> None:
        """Look until this is cancelled, after `begin` has found a pace to set."""
        span = self._span
        if span is None:
            return

        async def look() -> None:
            standings = (await self._run.progress()).standings
            causes = {one.connection: one.binding.cause for one in standings}
            await asyncio.to_thread(self._look, span, causes)

        def pause(took: float) -> float:
            left = (span.until - datetime.now(UTC)).total_seconds()
            return look_in_seconds(left, took)

        failed = "the pace could not be set; the next look follows"
        await look_again(look, failed, pause, first_in=pause(0.0))

    def _look(self, span: Span, causes: Mapping[str, Cause]) -> None:
        """Count what is left, and set the pace that follows.

        `causes` say what delays each connection that sends.
        """
        moment = self._run.database.moment()
        counts: dict[datetime, dict[str, Left]] = {}
        spreads: dict[str, Spread] = {}
        for name in self._assigned:
            until = spread_until(self._connections[name].warm_up, moment, span)
            if until not in counts:
                counts[until] = self._finishes.left(until)
            due = counts[until].get(name, Left(0, 0)).due
            spreads[name] = spread(span, moment, due, until)
        self._finishes.spread({pace_key(self._run.id, name): one for name, one in spreads.items()})
        left = counts.get(span.until) or self._finishes.left(span.until)
        finish = self._run.finish = self._finish(span, moment, left, causes)
        self._teller.tell(finish, moment, sum(one.due + one.later for one in left.values()))

    def _finish(
        self,
        span: Span,
        moment: datetime,
        left: Mapping[str, Left],
        causes: Mapping[str, Cause],
    ) -> Finish:
        shares = self._run.campaigns.shares(self._run.id)
        quotas = quota_uses(self._run.database, self._connections, moment)
        ends: dict[str, datetime | None] = {}
        for name, waiting in left.items():
            capability = self._capabilities[name]
            done = self._assigned[name] - waiting.due - waiting.later
            capability.see(steady(), done, causes.get(name, Cause.STARTING))
            if waiting.due:
                limits = bounds(self._connections[name], self._campaign.throttle, shares, name)
                pace, window = capability.per_second, self._campaign.sending_window
                uses = quotas.get(name, ())
                end = ends_at(moment, waiting.due, limits, pace, window, uses)
                ends[name] = end and max(end, span.until)
        return Finish(span.until, ends, span.tolerance)
