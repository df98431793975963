"""Who looks how a campaign gets on, and shows it: never at the campaign's cost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flows.support.progress.artifacts import Bar, ProgressArtifacts
from flows.support.progress.event_emitter import EventEmitter
from flows.support.stopping import StopReason
from mailsluice.campaign.sending_window import SendingWindow
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

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0


class ProgressReporter:
    """Keeps the artifacts of one run true, and tells its events.

    What Prefect's server does not take is left out: the next look says it all again.
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
    ) -> None:
        self._run = run
        self._window = window
        self._artifacts = artifacts
        self._events = events
        self._clock = clock
        self._log = log
        self._log_seconds = log_seconds
        self._logged_at = clock()
        self._logged = ""
        self._paces: defaultdict[str, RecentPace] = defaultdict(RecentPace)
        self._bindings: dict[str, Binding] = {}
        """By connection, what bound it when it was looked at last."""
        self._counted: dict[str, tuple[Tally, Tally]] = {}
        """By connection that is done: what it seemed to have done, and what is stored."""

    async def begin(self, *, is_new: bool) -> None:
        """Before the first mail: where everybody stands, from the database."""
        await asyncio.to_thread(self._run.count)
        progress = await self._seen()
        self._events.begin(progress, is_new=is_new)

    async def look(self) -> None:
        """Once: show what has changed, tell what is new."""
        await _quietly(self._look())

    async def conclude(self, report: Report, reason: StopReason | None) -> None:
        """Show how the run ended; `reason` is why it was stopped, if it was."""
        await _quietly(self._conclude(report, reason))

    async def _look(self) -> None:
        progress, moment = await self._recounted(await self._seen()), datetime.now(UTC)
        await self._events.look(progress, moment)
        self._bindings = {one.connection: one.binding for one in progress.standings}
        rates = {name: pace.per_second for name, pace in self._paces.items()}
        page = Page(progress, rates, moment, self._window)
        self._tell(page)
        await self._show(page)

    def _tell(self, page: Page) -> None:
        """A line in the run's log now and then: every UI shows new ones by itself."""
        if self._clock() - self._logged_at < self._log_seconds:
            return
        self._logged_at = self._clock()
        if (line := page.line()) != self._logged:
            self._logged = line
            self._log(line)

    async def _conclude(self, report: Report, reason: StopReason | None) -> None:
        seen, moment = await self._seen(), datetime.now(UTC)
        await self._events.look(seen, moment)
        if not report.open and reason is not StopReason.CANCELLED:
            self._events.completed(report)
        rates = {one.connection: one.per_second for one in report.routes}
        progress = self._final(seen, report, reason)
        await self._show(Page(progress, rates, moment, self._window, is_over=True))

    async def _seen(self) -> Progress:
        progress = await self._run.progress()
        for one in progress.standings:
            self._paces[one.connection].see(self._clock(), one.tally.sent)
        return progress

    async def _recounted(self, seen: Progress) -> Progress:
        """With those counted anew who are done but seem to have somebody left.

        The claims of a run leave out whoever was suppressed since the launch, without a word: the
        state database knows, and is asked once about each connection.
        """
        odd = [one for one in seen.standings if one.binding.cause is Cause.DONE and one.tally.left]
        if any(self._counted.get(one.connection, (None,))[0] != one.tally for one in odd):
            counts = await asyncio.to_thread(self._run.outbox.counts)
            for one in odd:
                stored = Tally.of(counts.by_connection.get(one.connection, {}))
                stored = replace(stored, deferrals=one.tally.deferrals)
                self._counted[one.connection] = one.tally, stored

        def recounted(one: Standing) -> Standing:
            before, stored = self._counted.get(one.connection, (None, one.tally))
            return replace(one, tally=stored) if one.tally == before else one

        return replace(seen, standings=tuple(map(recounted, seen.standings)))

    def _final(self, seen: Progress, report: Report, reason: StopReason | None) -> Progress:
        """By the numbers of the report. A run that comes back says what it waits for."""
        counts = {one.connection: Tally.of(one.by_status) for one in report.routes}

        def final(one: Standing) -> Standing:
            bound = one.binding
            if bound.cause is Cause.STOPPED and reason is StopReason.WAITING:
                bound = self._bindings.get(one.connection, bound)
            tally = replace(counts[one.connection], deferrals=one.tally.deferrals)
            return replace(one, tally=tally, binding=bound)

        return replace(seen, standings=tuple(map(final, seen.standings)))

    async def _show(self, page: Page) -> None:
        bars: dict[str | None, Bar] = {
            None: Bar(page.progress.tally.percent, page.campaign()),
            **{
                one.connection: Bar(one.tally.percent, page.connection(one))
                for one in page.progress.standings
            },
        }
        await self._artifacts.show(bars)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Do it, or not: the campaign goes on, whatever comes of this."""
    try:
        await asyncio.wait_for(work, _PATIENCE_SECONDS)
    except Exception as error:  # noqa: BLE001
        logger.debug("how it gets on could not be shown: %s", type(error).__name__)
