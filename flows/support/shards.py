"""The send-connection runs of a campaign on workers: begun, watched, begun again where one dies."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Crashed, Scheduled

from flows.support.session_slots.notices import Logger
from flows.support.stopping import StopReason, StopRequest
from mailsluice.core.errors import CampaignError
from mailsluice.core.status import OPEN
from mailsluice.delivery import CampaignRun
from mailsluice.smtp.connection import Connection
from mailsluice.store import Ending, SenderRecord

_FLOW = "send-connection"
_LOOK_SECONDS = 2.0
_PAGE = 200
_MOST_STARTS = 10
"""So often a part of a connection is begun in one run of its campaign."""
_AGAIN_SECONDS = 10.0
_SILENT_SECONDS = 120.0
"""A run that has begun, and has not come to send within that, has died."""
_PENDING_SECONDS = 600.0
"""So has one that a worker took, and that has not begun within that: an image may be pulled."""
_STOP_SECONDS = 60.0
_UNHEARD = (httpx.HTTPError, PrefectHTTPStatusError)


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a connection."""

    connection: str
    number: int
    """From 1."""
    of: int


async def deployment_of(connection: str) -> str:
    """The deployment whose workers send over a connection: the one of its name, or the general one.

    Raises CampaignError where there is neither.
    """
    async with get_client() as client:
        for name in (connection, _FLOW, "default"):  # the last one as it was called before
            with suppress(ObjectNotFound):
                await client.read_deployment_by_name(f"{_FLOW}/{name}")
                return f"{_FLOW}/{name}"
    raise CampaignError(
        f"the dispatch is 'workers', but there is no deployment {_FLOW}/{_FLOW}: deploy it to a"
        " work pool (deployments/prefect.yaml), or choose the dispatch 'inline'"
    )


def shards_of(connection: Connection, sessions_per_worker: int) -> list[Shard]:
    """A connection, cut into parts of at most so many sessions."""
    of = -(-connection.max_sessions // sessions_per_worker)
    return [Shard(connection.name, number, of) for number in range(1, of + 1)]


def shard_name(campaign: str, connection: str, shard: int, shards: int) -> str:
    """Name a send-connection run."""
    part = f" ({shard} of {shards})" if shards > 1 else ""
    return f"Send over {connection}{part}: {campaign}"


class Shards:
    """Runs them to their ends."""

    def __init__(
        self, run: CampaignRun, request: StopRequest, deployments: dict[str, str], logger: Logger
    ) -> None:
        self._run = run
        self._request = request
        self._deployments = deployments
        self._logger = logger
        self._parent_id = UUID(flow_run.get_id())
        self._done_before: set[UUID] = set()
        self._starts: defaultdict[Shard, int] = defaultdict(int)
        self._stop_at: float | None = None

    async def send(self, shards: Sequence[Shard]) -> None:
        """Until each has ended for good, or the campaign is to stop.

        Those that another process of this run has begun, which died, are found at work.
        """
        async with get_client() as client:
            known = [one async for one in self._runs(client)]
            self._done_before = {one.id for one in known if _is_final(one)}
            while True:
                records = await asyncio.to_thread(self._run.read_senders)
                with suppress(*_UNHEARD):  # away: they go on sending
                    if await self._look(client, shards, records):
                        break
                await asyncio.sleep(_LOOK_SECONDS)
        self._wait_for(await asyncio.to_thread(self._run.read_senders))

    async def _look(
        self, client: PrefectClient, shards: Sequence[Shard], records: Sequence[SenderRecord]
    ) -> bool:
        """Once. Whether all is over."""
        latest: dict[Shard, FlowRun] = {}
        number: defaultdict[Shard, int] = defaultdict(int)
        senders = {one.owner: one for one in records}
        async for one in self._runs(client):
            shard = _shard(one)
            number[shard] += 1
            if one.id not in self._done_before:
                latest[shard] = one
        if self._request.reason:
            return await self._stop(client, latest.values())
        over = True
        for shard in shards:
            found = latest.get(shard)
            sender = senders.get(str(found.id)) if found else None
            if found and not _is_final(found):
                over = False
                if _has_died(found, sender):
                    state: State[Any] = Crashed(message="no sign of life from its process")
                    await client.set_flow_run_state(found.id, state, force=True)
            elif found is None or await self._goes_on(shard, found, sender):
                over = False
                if found is None or _is_due(found):
                    await self._begin(shard, number[shard])
        return over

    async def _goes_on(self, shard: Shard, found: FlowRun, sender: SenderRecord | None) -> bool:
        """Whether a part that has ended is to be begun again."""
        state = found.state
        if state is None or not (state.is_crashed() or state.is_failed()):
            return False
        if (sender and sender.ending is Ending.DOWN) or self._starts[shard] >= _MOST_STARTS:
            return False
        counts = await asyncio.to_thread(self._run.outbox.counts)
        return counts.of(*OPEN, connection=shard.connection) > 0

    async def _begin(self, shard: Shard, number: int) -> None:
        self._starts[shard] += 1
        campaign = self._run.record.name
        name = shard_name(campaign, shard.connection, shard.number, shard.of)
        await arun_deployment(
            self._deployments[shard.connection],
            parameters={
                "campaign": campaign,
                "connection": shard.connection,
                "shard": shard.number,
                "shards": shard.of,
            },
            flow_run_name=name,
            timeout=0,
            idempotency_key=f"{self._parent_id} {shard.connection} {shard.number} {number}",
        )
        if number:
            self._logger.info("%s: begun again", name)

    async def _stop(self, client: PrefectClient, runs: Iterable[FlowRun]) -> bool:
        """Those at work see by themselves that the campaign is to stop. Whether all have ended."""
        if self._request.reason is StopReason.TERMINATED:
            return True  # they go on: the next process of this run finds them
        now = asyncio.get_running_loop().time()
        self._stop_at = self._stop_at or now + _STOP_SECONDS
        left = [one for one in runs if not _is_final(one)]
        for one in left:
            if one.state and (one.state.is_scheduled() or one.state.is_pending()):
                await client.set_flow_run_state(one.id, Cancelled(), force=True)
            elif self._request.reason is StopReason.INTERRUPTED:
                await client.set_flow_run_state(one.id, Cancelling(), force=True)
        if left and now > self._stop_at:
            self._logger.warning("%d runs on workers have not stopped in time", len(left))
        return not left or now > self._stop_at

    def _wait_for(self, records: Iterable[SenderRecord]) -> None:
        """Where some have nothing to send for long, the campaign comes back when they have."""
        moments = [one.next_at for one in records if one.ending is Ending.WAITING and one.next_at]
        if moments and self._request.reason is None:
            when = datetime.fromtimestamp(min(moments), UTC)
            self._request.make(StopReason.WAITING, Scheduled(scheduled_time=when))

    async def _runs(self, client: PrefectClient) -> AsyncIterator[FlowRun]:
        """All that were begun for this campaign's run, the oldest first."""
        mine = FlowRunFilter(
            parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[self._parent_id])
        )
        found: list[FlowRun] = []
        while len(
            page := await client.read_flow_runs(
                flow_run_filter=mine, limit=_PAGE, offset=len(found)
            )
        ):
            found += page
        for one in sorted(found, key=lambda one: one.created or datetime.max.replace(tzinfo=UTC)):
            if one.deployment_id:
                yield one


def _shard(run: FlowRun) -> Shard:
    given = run.parameters
    return Shard(given["connection"], given["shard"], given["shards"])


def _is_final(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def _is_due(run: FlowRun) -> bool:
    """Whether a part that died may be begun again now."""
    ended = run.state.timestamp if run.state else None
    return ended is None or datetime.now(UTC) - ended > timedelta(seconds=_AGAIN_SECONDS)


def _has_died(run: FlowRun, sender: SenderRecord | None) -> bool:
    """Whether a run that Prefect takes for running, or about to run, has no process."""
    if sender:
        return sender.ending is Ending.LOST
    since: datetime | None = run.start_time
    seconds = _SILENT_SECONDS
    if run.state and run.state.is_pending():
        since, seconds = run.state.timestamp, _PENDING_SECONDS
    return bool(since and datetime.now(UTC) - since > timedelta(seconds=seconds))
