"""Start the send-connection runs of a campaign on workers, and restart those that die.

Prefect's events and the senders' rows in the state database tell when a run begins or ends. Only
then the runs are listed, so the number of requests does not grow with the length of the campaign.
Without events they are listed every two seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import arun_deployment
from prefect.events import Event
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Crashed, Scheduled

from flows.support.server_events import RUN_KIND
from flows.support.session_slots.notices import Logger
from flows.support.stopping import StopReason, StopRequest
from flows.support.tags import tags_of
from mailsluice.core.errors import CampaignError
from mailsluice.core.status import OPEN
from mailsluice.delivery import CampaignRun
from mailsluice.smtp.connection import Connection
from mailsluice.store import Ending, SenderRecord

_FLOW = "send-connection"
_LOOK_SECONDS = 2.0
_PAGE = 200
_MOST_STARTS = 10
"""How often a shard is started in one run of its campaign."""
_RESTART_SECONDS = 10.0
_SILENT_SECONDS = 120.0
"""A run that has begun, but does not send within this time, has died."""
_PENDING_SECONDS = 600.0
"""A run that a worker took, but that does not begin within this time, has died."""
_STOP_SECONDS = 60.0
_SERVER_AWAY = (httpx.HTTPError, PrefectHTTPStatusError)


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a connection's sessions."""

    connection: str
    number: int
    """Counts from 1."""
    of: int
    """How many shards the connection has."""


class WorkerDeployment(NamedTuple):
    """A deployment of send-connection."""

    name: str
    id: UUID


async def deployment_of(connection: str) -> WorkerDeployment:
    """The deployment whose workers send over a connection: that of its name, or the general one.

    Raises CampaignError where there is neither.
    """
    async with get_client() as client:
        for name in (connection, _FLOW, "default"):  # earlier versions called it "default"
            with suppress(ObjectNotFound):
                found = await client.read_deployment_by_name(f"{_FLOW}/{name}")
                return WorkerDeployment(f"{_FLOW}/{name}", found.id)
    raise CampaignError(
        f"the dispatch is 'workers', but there is no deployment {_FLOW}/{_FLOW}: deploy it to a"
        " work pool (deployments/prefect.yaml), or choose the dispatch 'inline'"
    )


def shards_of(connection: Connection, sessions_per_worker: int) -> list[Shard]:
    """Divide a connection into shards of at most so many sessions."""
    of = -(-connection.max_sessions // sessions_per_worker)
    return [Shard(connection.name, number, of) for number in range(1, of + 1)]


def shard_name(campaign: str, connection: str, shard: int, shards: int) -> str:
    """Name a send-connection run."""
    part = f" ({shard} of {shards})" if shards > 1 else ""
    return f"Send over {connection}{part}: {campaign}"


class Attention:
    """Decides when the runs are to be listed: after a change, and else ever more rarely.

    A change may be announced before it can be read, so the pauses begin short. Times are in
    seconds.
    """

    def __init__(self) -> None:
        self._pause = _LOOK_SECONDS
        self._due_at = -math.inf

    def changed(self) -> None:
        """List the runs at once."""
        self._pause, self._due_at = _LOOK_SECONDS, -math.inf

    def is_due(self, now: float) -> bool:
        """Whether to list the runs now. The caller does so, or calls `changed`."""
        if now < self._due_at:
            return False
        self._due_at = now + self._pause
        self._pause *= 2
        return True


class Shards:
    """Starts the runs of a campaign's shards, and watches them until they end."""

    def __init__(
        self,
        run: CampaignRun,
        request: StopRequest,
        deployments: Mapping[str, WorkerDeployment],
        logger: Logger,
        standbys: Collection[str] = (),
    ) -> None:
        """`standbys` are connections whose runs start when they have recipients, not before."""
        self._run = run
        self._request = request
        self._deployments = deployments
        self._standbys = standbys
        self._logger = logger
        self._parent_id = UUID(flow_run.get_id())
        self._done_before: set[UUID] = set()
        self._starts: defaultdict[Shard, int] = defaultdict(int)
        self._stop_at: float | None = None
        self._attention = Attention()
        self._known: set[UUID] = set()
        """The runs, as they were listed last."""
        self._endings: set[tuple[str, Ending | None]] = set()
        """The senders so far, and how they ended."""
        self._moved = 0
        """How many recipients had moved to other connections when the runs were listed last."""

    async def send(self, shards: Sequence[Shard]) -> None:
        """Run every shard until it has finished, or until the campaign is to stop.

        If an earlier process of this run died, its shards are still running and are not started
        again.
        """
        listeners = self._request.events.listeners
        listeners.append(self._hear)
        try:
            async with get_client() as client:
                earlier = [run async for run in self._runs(client)]
                self._done_before = {run.id for run in earlier if _is_final(run)}
                while not await self._have_ended(client, shards):  # noqa: ASYNC110 rows tell nothing
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            listeners.remove(self._hear)
        self._wait_for(await asyncio.to_thread(self._run.read_senders))

    def _hear(self, event: Event | None) -> None:
        """Note an event; None where events may have been missed."""
        if event is None or (
            event.resource.get("prefect.state-type")
            and UUID(event.resource.id.removeprefix(RUN_KIND)) in self._known
        ):
            self._attention.changed()

    async def _have_ended(self, client: PrefectClient, shards: Sequence[Shard]) -> bool:
        """Look after the shards; True when every one has finished."""
        records = await asyncio.to_thread(self._run.read_senders)
        endings = {(record.owner, record.ending) for record in records}
        has_changed, self._endings = endings != self._endings, endings
        if self._run.elsewhere:
            moved = sum(move.recipients for move in (await self._run.progress()).moves)
            has_changed, self._moved = has_changed or moved != self._moved, moved
        if has_changed or self._request.reason or not self._request.events.is_subscribed:
            self._attention.changed()
        if not self._attention.is_due(asyncio.get_running_loop().time()):
            return False
        try:
            return await self._poll(client, shards, records)
        except _SERVER_AWAY:  # the shards go on sending
            self._attention.changed()
            return False

    async def _poll(
        self, client: PrefectClient, shards: Sequence[Shard], records: Sequence[SenderRecord]
    ) -> bool:
        """Poll once, and restart what died; True when every shard has finished."""
        latest: dict[Shard, FlowRun] = {}
        starts: defaultdict[Shard, int] = defaultdict(int)
        senders = {record.owner: record for record in records}
        async for run in self._runs(client):
            shard = _shard(run)
            starts[shard] += 1
            if run.id not in self._done_before:
                latest[shard] = run
        if self._request.reason:
            return await self._stop(client, latest.values())
        working: set[str] = set()
        for shard in shards:
            latest_run = latest.get(shard)
            sender = senders.get(str(latest_run.id)) if latest_run else None
            if latest_run and not _is_final(latest_run):
                working.add(shard.connection)
                if _has_died(latest_run, sender):
                    state: State[Any] = Crashed(message="no sign of life from its process")
                    await client.set_flow_run_state(latest_run.id, state, force=True)
            elif await self._has_work(shard, latest_run, sender):
                working.add(shard.connection)
                if latest_run is None or _is_due(latest_run):
                    await self._start(shard, starts[shard])
        if self._run.elsewhere:
            started = {shard.connection for shard in latest}
            return await self._have_handed_over(started, working, records)
        return not working

    async def _have_handed_over(
        self, started: set[str], working: set[str], records: Sequence[SenderRecord]
    ) -> bool:
        """Whether no connection sends, and none of those that are down has recipients to give."""
        # The records were read before the runs: how a sender has ended may not be known yet.
        working |= {record.connection for record in records if record.ending is None}
        for name in started - working:
            self._run.sending_ended(name)
        if await self._run.is_handing_over():
            self._attention.changed()
            return False
        return not working

    async def _has_work(
        self, shard: Shard, run: FlowRun | None, sender: SenderRecord | None
    ) -> bool:
        """Whether a shard that has ended, or has not begun, is to be started."""
        if run is None:
            return shard.connection not in self._standbys or await self._has_left(shard.connection)
        state = run.state
        if state is None or not (state.is_crashed() or state.is_failed()):
            return False
        if sender is None or sender.ending is None:  # it may have told that since the last look
            records = await asyncio.to_thread(self._run.read_senders)
            sender = next((record for record in records if record.owner == str(run.id)), None)
        if (sender and sender.ending is Ending.DOWN) or self._starts[shard] >= _MOST_STARTS:
            return False
        counts = await asyncio.to_thread(self._run.outbox.counts)
        return counts.of(*OPEN, connection=shard.connection) > 0

    async def _has_left(self, connection: str) -> bool:
        """Whether recipients of a connection wait, as far as the progress tells."""
        standings = (await self._run.progress()).standings
        return any(known.connection == connection and known.tally.left for known in standings)

    async def _start(self, shard: Shard, starts_before: int) -> None:
        self._starts[shard] += 1
        self._attention.changed()  # the new run is to be known
        campaign = self._run.record.name
        name = shard_name(campaign, shard.connection, shard.number, shard.of)
        await arun_deployment(
            self._deployments[shard.connection].name,
            parameters={
                "campaign": campaign,
                "connection": shard.connection,
                "shard": shard.number,
                "shards": shard.of,
            },
            flow_run_name=name,
            tags=tags_of(campaign, [shard.connection]),
            timeout=0,
            idempotency_key=f"{self._parent_id} {shard.connection} {shard.number} {starts_before}",
        )
        if starts_before:
            self._logger.info("%s: started again", name)

    async def _stop(self, client: PrefectClient, runs: Iterable[FlowRun]) -> bool:
        """Cancel runs that have not begun; True when all have ended.

        Runs at work notice by themselves that the campaign is to stop.
        """
        if self._request.reason is StopReason.TERMINATED:
            return True  # the runs go on, and the next process of this run finds them
        now = asyncio.get_running_loop().time()
        self._stop_at = self._stop_at or now + _STOP_SECONDS
        left = [run for run in runs if not _is_final(run)]
        for run in left:
            if run.state and (run.state.is_scheduled() or run.state.is_pending()):
                await client.set_flow_run_state(run.id, Cancelled(), force=True)
            elif self._request.reason is StopReason.INTERRUPTED:
                await client.set_flow_run_state(run.id, Cancelling(), force=True)
        if left and now > self._stop_at:
            self._logger.warning("%d runs on workers have not stopped in time", len(left))
        return not left or now > self._stop_at

    def _wait_for(self, records: Iterable[SenderRecord]) -> None:
        """Schedule the campaign for the next moment at which a waiting sender has work."""
        moments = [
            record.next_at
            for record in records
            if record.ending is Ending.WAITING and record.next_at
        ]
        if moments and self._request.reason is None:
            when = datetime.fromtimestamp(min(moments), UTC)
            self._request.make(StopReason.WAITING, Scheduled(scheduled_time=when))

    async def _runs(self, client: PrefectClient) -> AsyncIterator[FlowRun]:
        """All runs that were started for this campaign's run, the oldest first."""
        mine = FlowRunFilter(
            parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[self._parent_id])
        )
        runs: list[FlowRun] = []
        is_last = False
        while not is_last:
            page = await client.read_flow_runs(flow_run_filter=mine, limit=_PAGE, offset=len(runs))
            is_last = len(page) < _PAGE
            runs += page
        self._known = {run.id for run in runs}
        for run in sorted(runs, key=lambda run: run.created or datetime.max.replace(tzinfo=UTC)):
            if run.deployment_id:
                yield run


def _shard(run: FlowRun) -> Shard:
    values = run.parameters
    return Shard(values["connection"], values["shard"], values["shards"])


def _is_final(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def _is_due(run: FlowRun) -> bool:
    """Whether a shard that died may be started again now."""
    ended = run.state.timestamp if run.state else None
    return ended is None or datetime.now(UTC) - ended > timedelta(seconds=_RESTART_SECONDS)


def _has_died(run: FlowRun, sender: SenderRecord | None) -> bool:
    """Whether a run that is running or pending for Prefect has no process."""
    if sender:
        return sender.ending is Ending.LOST
    since: datetime | None = run.start_time
    seconds = _SILENT_SECONDS
    if run.state and run.state.is_pending():
        since, seconds = run.state.timestamp, _PENDING_SECONDS
    return bool(since and datetime.now(UTC) - since > timedelta(seconds=seconds))
