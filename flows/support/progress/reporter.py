"""Show how a campaign progresses, without ever delaying or failing the campaign."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flows.support.progress.artifacts import Bar, ProgressArtifacts
from flows.support.progress.event_emitter import EventEmitter
from flows.support.progress.late_counter import LateCounter
from flows.support.stopping import StopReason
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.status import UNCLAIMED
from mailsluice.delivery import CampaignRun
from mailsluice.reports.campaign import Report
from mailsluice.reports.progress import (
    LOG_SECONDS,
    Binding,
    Cause,
    Page,
    Progress,
    RecentPace,
    Standing,
    Tally,
)
from mailsluice.reports.providers.counts import ProviderCounts
from mailsluice.reports.zones.counts import ZoneCounts

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_SHARE_OF_RUN = 0.5
_STEP_PERCENT, _STEP_SECONDS = 2.0, 60.0
_LIST_SECONDS = 300.0


async def _nothing() -> None:
    """Publish no list of campaigns."""


class ProgressReporter:
    """Updates the artifacts of one run, writes log lines, and emits events.

    What Prefect's server does not take is left out, as the next update repeats it.
    """

    def __init__(
        self,
        run: CampaignRun,
        window: SendingWindow,
        artifacts: ProgressArtifacts,
        events: EventEmitter,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] = logger.info,
        log_seconds: float = LOG_SECONDS,
        publish_list: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """`publish_list` publishes the page of all campaigns."""
        self._publish_list = publish_list
        self._run = run
        self._window = window
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._log = log
        self._log_seconds = log_seconds
        self._begun_at = self._logged_at = clock()
        self._shown_at, self._shown_percent = -math.inf, 0.0
        self._shown_causes: dict[str, Cause] = {}
        self._logged = ""
        self._listed_at = -math.inf
        self._paces: defaultdict[str, RecentPace] = defaultdict(RecentPace)
        self._bindings: dict[str, Binding] = {}
        """By connection, what delayed it at the last update."""
        self._by_provider = LateCounter(run.sent_by_provider, clock, ProviderCounts())
        self._by_zone = LateCounter[Sequence[ZoneCounts]](run.counted_by_zone, clock, ())
        self._counted: dict[str, tuple[Tally, Tally]] = {}
        """By connection whose tally cannot be right, that tally and the stored one."""

    async def begin(self, *, is_new: bool) -> None:
        """Count the recipients in the database, before the first message."""
        await asyncio.to_thread(self._run.count)
        progress = await self._current()
        self._events.begin(progress, is_new=is_new)

    async def update(self) -> None:
        """Show what has changed, and emit the events that follow."""
        await _quietly(self._update())

    async def conclude(self, report: Report, reason: StopReason | None) -> None:
        """Show how the run ended; `reason` says why it was stopped, if it was."""
        await _quietly(self._conclude(report, reason))

    async def _update(self) -> None:
        progress, moment = await self._recounted(await self._current()), datetime.now(UTC)
        await self._events.update(progress, moment)
        self._bindings = {standing.connection: standing.binding for standing in progress.standings}
        rates = {name: pace.per_second for name, pace in self._paces.items()}
        page = Page(progress, rates, moment, self._window)
        causes = {name: binding.cause for name, binding in self._bindings.items()}
        if self._is_due(causes, progress.tally.percent):
            if self._window.in_own_zones:
                page = replace(page, zones=await self._by_zone.counts())
            self._log_line(page)
            await self._show(replace(page, providers=await self._by_provider.counts()))
            self._shown_at, self._shown_causes = self._clock(), causes
            self._shown_percent = progress.tally.percent
            await self._list(page)

    def _is_due(self, causes: Mapping[str, Cause], percent: float) -> bool:
        """Whether to show the progress.

        It is shown whenever the run's time so far has doubled, and for each further two percent, at
        most once a minute: so the number of requests hardly depends on the length of the campaign.
        What a connection waits for is shown at once.
        """
        now = self._clock()
        waited = now - self._shown_at
        return (
            causes != self._shown_causes
            or waited >= _SHARE_OF_RUN * (now - self._begun_at)
            or (waited >= _STEP_SECONDS and percent >= self._shown_percent + _STEP_PERCENT)
        )

    async def _list(self, page: Page) -> None:
        """Store the numbers for the page of all campaigns, and publish that page now and then."""
        end = page.end
        await asyncio.to_thread(
            self._run.summary.progressed,
            page.progress.tally.sent,
            page.per_second,
            end.timestamp() if end else None,
        )
        if self._clock() - self._listed_at >= _LIST_SECONDS:
            self._listed_at = self._clock()
            await self._publish_list()

    def _log_line(self, page: Page) -> None:
        """Write a line to the run's log now and then, as every UI shows new lines by itself."""
        if self._clock() - self._logged_at < self._log_seconds:
            return
        self._logged_at = self._clock()
        if (line := page.line()) != self._logged:
            self._logged = line
            self._log(line)

    async def _conclude(self, report: Report, reason: StopReason | None) -> None:
        current, moment = await self._current(), datetime.now(UTC)
        await self._events.update(current, moment)
        if not report.open and reason is not StopReason.CANCELLED:
            self._events.completed(report)
        rates = {route.connection: route.per_second for route in report.routes}
        progress = self._final(current, report, reason)
        await self._show(Page(progress, rates, moment, self._window, is_over=True))

    async def _current(self) -> Progress:
        progress = await self._run.progress()
        for standing in progress.standings:
            self._paces[standing.connection].see(self._clock(), standing.tally.sent)
        return progress

    async def _recounted(self, progress: Progress) -> Progress:
        """Correct the tallies of connections that cannot be right.

        A run's claims leave out recipients that were suppressed since the launch, and do not count
        them, so a connection that is done seems to have recipients left. And what senders that
        outlived an earlier run did just before this one began is counted twice, as their records
        are some seconds old. So the state database is asked once about each such tally.
        """
        wrong = [
            standing
            for standing in progress.standings
            if (standing.binding.cause in (Cause.DONE, Cause.STANDBY) and standing.tally.left)
            or standing.tally.is_too_high
        ]
        if any(self._counted.get(known.connection, (None,))[0] != known.tally for known in wrong):
            counts = await asyncio.to_thread(self._run.outbox.counts)
            for standing in wrong:
                stored = Tally.of(counts.by_connection.get(standing.connection, {}))
                stored = replace(stored, deferrals=standing.tally.deferrals)
                self._counted[standing.connection] = standing.tally, stored

        def recounted(standing: Standing) -> Standing:
            before, stored = self._counted.get(standing.connection, (None, standing.tally))
            return replace(standing, tally=stored) if standing.tally == before else standing

        return replace(progress, standings=tuple(map(recounted, progress.standings)))

    def _final(self, progress: Progress, report: Report, reason: StopReason | None) -> Progress:
        """Use the report's numbers; for a run that continues later, keep what it waits for."""
        counts = {route.connection: Tally.of(route.by_status) for route in report.routes}

        def final(standing: Standing) -> Standing:
            binding = standing.binding
            if binding.cause is Cause.STOPPED and reason is StopReason.WAITING:
                binding = self._bindings.get(standing.connection, binding)
            tally = replace(counts[standing.connection], deferrals=standing.tally.deferrals)
            return replace(standing, tally=tally, binding=binding)

        pool = counts.get(UNCLAIMED, Tally())
        return replace(progress, standings=tuple(map(final, progress.standings)), pool=pool)

    async def _show(self, page: Page) -> None:
        bars: dict[str | None, Bar] = {
            None: Bar(page.progress.tally.percent, page.campaign()),
            **{
                standing.connection: Bar(standing.tally.percent, page.connection(standing))
                for standing in page.progress.standings
            },
        }
        await self._artifacts.show(bars)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine and ignore its failure, so that the campaign continues.

    A cancellation is not ignored. (On Python 3.11 `asyncio.wait_for` loses one that comes with the
    end of the work.)
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await work
    except Exception as error:  # noqa: BLE001
        logger.debug("the progress could not be shown: %s", type(error).__name__)
