"""Which events follow from where the connections of a campaign stand."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import httpx
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import PrefectHTTPStatusError

from flows.support.events import Milestone, tell
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign import Report
from mailsluice.reports.progress import TROUBLES, Cause, Progress, Standing

logger = logging.getLogger(__name__)

_LONG = timedelta(seconds=60)
_SICK = (Milestone.CONNECTION_QUARANTINED, Milestone.CONNECTION_RECOVERED)


class EventEmitter:
    """Tells each event once. Whether a connection recovers is known by the last word about it."""

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._down: set[str] = set()
        self._ill: dict[str, int] = {}
        """Connections that were given up or rested, with what they had sent by then."""
        self._unheard: dict[str, int] = {}
        """Connections whose last word is not known, with what had been sent before this run."""
        self._held: dict[str, str] = {}
        """The limit that a connection is held by, once it was told."""

    def begin(self, progress: Progress, *, is_new: bool) -> None:
        """Before the first mail of a run, which is the campaign's first one or goes on with it."""
        self._unheard = {one.connection: one.tally.sent for one in progress.standings}
        if not is_new:
            return
        assigned = {one.connection: one.tally.assigned for one in progress.standings}
        self._tell(
            Milestone.CAMPAIGN_STARTED,
            accepted=progress.tally.assigned,
            connections=", ".join(f"{name} {number}" for name, number in assigned.items()),
        )

    async def look(self, progress: Progress, moment: datetime) -> None:
        """Tell what is new about its connections."""
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):  # away: the next time
            await self._remember()
        for standing in progress.standings:
            self._quarantined(standing)
            self._recovered(standing)
            self._limited(standing, moment)

    async def _remember(self) -> None:
        """Ask Prefect's event feed, once, which connections were given up when last heard of."""
        for name in await _given_up(self._unheard) if self._unheard else ():
            self._ill.setdefault(name, self._unheard[name])
        self._unheard = {}

    def completed(self, report: Report) -> None:
        """Nobody waits for the mail any more."""
        counts = {one.value: report.of(one) for one in RecipientStatus if report.of(one)}
        self._tell(Milestone.CAMPAIGN_COMPLETED, None, accepted=report.accepted, **counts)

    def _quarantined(self, standing: Standing) -> None:
        name, binding = standing.connection, standing.binding
        if binding.cause is Cause.QUARANTINED and name not in self._down:
            self._down.add(name)
            self._tell(Milestone.CONNECTION_QUARANTINED, name, reason=binding.detail)

    def _recovered(self, standing: Standing) -> None:
        name, cause, sent = standing.connection, standing.binding.cause, standing.tally.sent
        if cause is Cause.RESTING:
            self._ill[name] = sent
        elif name in self._ill and cause not in TROUBLES and sent > self._ill[name]:
            del self._ill[name]
            self._tell(Milestone.CONNECTION_RECOVERED, name)

    def _limited(self, standing: Standing, moment: datetime) -> None:
        """Once for as long as the same limit binds."""
        name, binding = standing.connection, standing.binding
        if (
            binding.cause is not Cause.LIMIT
            or self._held.get(name, binding.detail) != binding.detail
        ):
            self._held.pop(name, None)
        is_long = binding.until is not None and binding.until - moment > _LONG
        if binding.cause is Cause.LIMIT and is_long and name not in self._held:
            self._held[name] = binding.detail
            until = binding.until.isoformat() if binding.until else None
            self._tell(Milestone.LIMIT_REACHED, name, limit=binding.detail, until=until)

    def _tell(
        self, milestone: Milestone, connection: str | None = None, **payload: str | float | None
    ) -> None:
        try:
            tell(milestone, self._campaign, connection, threshold=None, **payload)
        except Exception as error:  # noqa: BLE001 whatever it is, the campaign goes on
            logger.debug("%s was not told: %s", milestone, error)


async def _given_up(connections: Iterable[str]) -> set[str]:
    """Those whose last word is that they were given up, in whichever campaign."""
    ids = {f"mailsluice.connection.{name}": name for name in connections}
    last: dict[str, str] = {}
    async with get_client() as client:
        for resource in ids:
            wanted = EventFilter(
                event=EventNameFilter(name=[str(one) for one in _SICK]),
                resource=EventResourceFilter(id=[resource]),
            )
            for event in (await client.read_events(wanted, limit=1)).events:
                last[resource] = event.event
    return {ids[one] for one, word in last.items() if word == Milestone.CONNECTION_QUARANTINED}
