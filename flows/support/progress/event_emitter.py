"""Emit events about a campaign's connections when their situation changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import httpx
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import PrefectHTTPStatusError

from flows.support.events import Milestone, emit
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign import Report
from mailsluice.reports.progress import TROUBLES, Cause, Progress, Standing

logger = logging.getLogger(__name__)

_LONG = timedelta(seconds=60)
_HEALTH = (Milestone.CONNECTION_QUARANTINED, Milestone.CONNECTION_RECOVERED)


class EventEmitter:
    """Emits each event once.

    A connection that an earlier run quarantined recovers in this one, so the emitter reads the last
    event about each connection.
    """

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._down: set[str] = set()
        self._troubled: dict[str, int] = {}
        """Connections that were quarantined or rested, with what they had sent by then."""
        self._unknown: dict[str, int] = {}
        """Connections whose last event is not read yet, with what was sent before this run."""
        self._limits: dict[str, str] = {}
        """The limit that delays a connection, once its event was emitted."""
        self._is_late = False
        """Whether the campaign will be finished later than it is to be."""

    def begin(self, progress: Progress, *, is_new: bool) -> None:
        """Start before the first message of a run; `is_new` for the campaign's first run."""
        self._unknown = {
            standing.connection: standing.tally.sent for standing in progress.standings
        }
        if not is_new:
            return
        assigned = {standing.connection: standing.tally.assigned for standing in progress.standings}
        self._emit(
            Milestone.CAMPAIGN_STARTED,
            accepted=progress.tally.assigned,
            connections=", ".join(f"{name} {count}" for name, count in assigned.items()),
        )

    async def update(self, progress: Progress, moment: datetime) -> None:
        """Emit the events that follow from the connections' new situation."""
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):  # read with the next update
            await self._read_last_events()
        for standing in progress.standings:
            self._quarantined(standing)
            self._recovered(standing)
            self._limited(standing, moment)
        self._finishes(progress)

    async def _read_last_events(self) -> None:
        """Ask Prefect once which connections are quarantined by their last event."""
        for name in await _quarantined(self._unknown) if self._unknown else ():
            self._troubled.setdefault(name, self._unknown[name])
        self._unknown = {}

    def completed(self, report: Report) -> None:
        """Emit that no recipient waits any more."""
        counts = {status.value: report.of(status) for status in RecipientStatus}
        counts = {name: count for name, count in counts.items() if count}
        self._emit(Milestone.CAMPAIGN_COMPLETED, None, accepted=report.accepted, **counts)

    def _quarantined(self, standing: Standing) -> None:
        name, binding = standing.connection, standing.binding
        if binding.cause is Cause.QUARANTINED and name not in self._down:
            self._down.add(name)
            self._emit(Milestone.CONNECTION_QUARANTINED, name, reason=binding.detail)

    def _recovered(self, standing: Standing) -> None:
        name, cause, sent = standing.connection, standing.binding.cause, standing.tally.sent
        if cause is Cause.RESTING:
            self._troubled[name] = sent
        elif name in self._troubled and cause not in TROUBLES and sent > self._troubled[name]:
            del self._troubled[name]
            self._emit(Milestone.CONNECTION_RECOVERED, name)

    def _limited(self, standing: Standing, moment: datetime) -> None:
        """Emit one event for as long as the same limit delays the connection."""
        name, binding = standing.connection, standing.binding
        is_limited = binding.cause is Cause.LIMIT
        if not is_limited or self._limits.get(name, binding.detail) != binding.detail:
            self._limits.pop(name, None)
        is_long = binding.until is not None and binding.until - moment > _LONG
        if is_limited and is_long and name not in self._limits:
            self._limits[name] = binding.detail
            until = binding.until.isoformat() if binding.until else None
            self._emit(Milestone.LIMIT_REACHED, name, limit=binding.detail, until=until)

    def _finishes(self, progress: Progress) -> None:
        """Emit one event when the campaign's end moves past its finish time."""
        finish = progress.finish
        was_late, self._is_late = self._is_late, bool(finish and finish.late)
        if finish and self._is_late and not was_late:
            self._emit(
                Milestone.FINISH_LATE,
                finish_by=finish.by.isoformat(),
                expected=finish.ends_at.isoformat() if finish.ends_at else None,
                connections=", ".join(finish.late),
            )

    def _emit(
        self, milestone: Milestone, connection: str | None = None, **payload: str | float | None
    ) -> None:
        try:
            emit(milestone, self._campaign, connection, threshold=None, **payload)
        except Exception as error:  # noqa: BLE001 whatever it is, the campaign goes on
            logger.debug("%s was not emitted: %s", milestone, error)


async def _quarantined(connections: Iterable[str]) -> set[str]:
    """The connections whose last event, of any campaign, says that they are quarantined."""
    ids = {f"mailsluice.connection.{name}": name for name in connections}
    last: dict[str, str] = {}
    async with get_client() as client:
        wanted = [
            EventFilter(
                event=EventNameFilter(name=[str(milestone) for milestone in _HEALTH]),
                resource=EventResourceFilter(id=[resource]),
            )
            for resource in ids
        ]
        pages = await asyncio.gather(*(client.read_events(events, limit=1) for events in wanted))
        for resource, page in zip(ids, pages, strict=True):
            last.update((resource, event.event) for event in page.events)
    return {
        ids[resource] for resource, name in last.items() if name == Milestone.CONNECTION_QUARANTINED
    }
