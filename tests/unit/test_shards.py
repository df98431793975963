"""How a campaign's run judges the runs of its shards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self, cast
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import Event
from prefect.states import Completed, Failed, Pending, Running

from flows.support import shards as module
from flows.support.server_events import ServerEvents
from flows.support.shards import Shard, Shards, WorkerDeployment, _has_died, shards_of
from flows.support.stopping import StopRequest
from mailsluice.core.moves import Move, MoveReason
from mailsluice.delivery import CampaignRun
from mailsluice.reports.progress import Binding, Cause, Progress, Standing, Tally
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Ending, SenderRecord
from tests.eventually import eventually_async

LIVING = SenderRecord(
    id=1,
    connection="red",
    owner="a run",
    journal="a journal",
    started_at=0.0,
    is_expired=False,
    standing=None,
    ended_at=None,
    ending=None,
    detail=None,
    next_at=None,
)
LOST = replace(LIVING, ending=Ending.LOST)


@pytest.mark.parametrize(
    ("state", "started_seconds_ago", "sender", "has_died"),
    [
        (Running, 30, None, False),  # it still loads
        (Running, 130, None, True),
        (Running, 130, LIVING, False),
        (Running, 1, LOST, True),
        (Pending, None, None, False),
    ],
)
def test_a_run_without_a_process_has_died(
    state: Callable[[], State[Any]],
    started_seconds_ago: int | None,
    sender: SenderRecord | None,
    has_died: bool,
) -> None:
    start = started_seconds_ago and datetime.now(UTC) - timedelta(seconds=started_seconds_ago)
    run = FlowRun(flow_id=uuid4(), state=state(), start_time=start)
    assert _has_died(run, sender) is has_died


def test_a_pending_run_that_does_not_begin_has_died() -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=11)
    pending: State[Any] = Pending(timestamp=long_ago)
    assert _has_died(FlowRun(flow_id=uuid4(), state=pending), None)


@pytest.mark.parametrize(
    ("sessions", "a_worker", "number"), [(1, 20, 1), (20, 20, 1), (21, 20, 2), (50, 20, 3)]
)
def test_a_connection_is_divided_by_its_sessions(sessions: int, a_worker: int, number: int) -> None:
    connection = Connection("red", "mail.example", 25, Security.NONE, max_sessions=sessions)
    shards = shards_of(connection, a_worker)
    assert [(one.number, one.of) for one in shards] == [(i + 1, number) for i in range(number)]


DEPLOYMENT = WorkerDeployment("send-connection/send-connection", uuid4())


class Server:
    """Prefect's API, with the runs on workers. Counts how often they are listed."""

    def __init__(self) -> None:
        self.runs: list[FlowRun] = []
        self.listed = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read_flow_runs(self, *, offset: int, **_: object) -> list[FlowRun]:
        self.listed += 1
        return self.runs[offset:]

    async def start(self, deployment: str, *, parameters: dict[str, Any], **_: object) -> None:
        assert deployment == DEPLOYMENT.name
        run = FlowRun(flow_id=uuid4(), deployment_id=DEPLOYMENT.id, parameters=parameters)
        self.runs.append(run.model_copy(update={"state": Running(), "created": datetime.now(UTC)}))


class Looks:
    """The campaign's run. Counts how often the senders' rows are read."""

    def __init__(self) -> None:
        self.record = SimpleNamespace(name="spring-sale")
        self.senders: list[SenderRecord] = []
        self.looks = 0
        self.elsewhere: Any = None

    def read_senders(self) -> list[SenderRecord]:
        self.looks += 1
        return self.senders


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(module, "get_client", lambda: server)
    monkeypatch.setattr(module, "arun_deployment", server.start)
    monkeypatch.setattr(module, "flow_run", SimpleNamespace(get_id=lambda: str(uuid4())))
    monkeypatch.setattr(module, "_LOOK_SECONDS", 1e-6)
    return server


async def test_the_runs_are_listed_when_something_has_changed(server: Server) -> None:
    events, run = ServerEvents(), Looks()
    events.is_subscribed = True
    shards = Shards(
        cast("CampaignRun", run), StopRequest(events), {"red": DEPLOYMENT}, logging.getLogger("run")
    )
    sending = asyncio.ensure_future(shards.send([Shard("red", 1, 1)]))

    async def listed_in(looks: int) -> int:
        before, until = server.listed, run.looks + looks
        await eventually_async(lambda: run.looks >= until)
        return server.listed - before

    await eventually_async(lambda: server.runs)
    run.senders = [replace(LIVING, owner=str(server.runs[0].id))]
    await listed_in(2)
    assert await listed_in(300) <= 40  # ever more rarely, as nothing happens

    events.listeners[0](_changed(uuid4()))  # of another campaign
    listed = server.listed
    events.listeners[0](_changed(server.runs[0].id))
    await eventually_async(lambda: server.listed > listed)

    server.runs[0].state = Completed()
    run.senders = [replace(run.senders[0], ending=Ending.DONE, ended_at=1.0)]
    await sending
    assert len(server.runs) == 1
    assert not events.listeners


def _changed(run_id: UUID) -> Event:
    """The event of a run's new state."""
    resource = {"prefect.resource.id": f"prefect.flow-run.{run_id}"}
    resource["prefect.state-type"] = "COMPLETED"
    return Event(event="prefect.flow-run.Completed", resource=resource)


async def test_without_events_the_runs_are_listed_with_each_look(server: Server) -> None:
    run = Looks()
    shards = Shards(
        cast("CampaignRun", run),
        StopRequest(ServerEvents()),
        {"red": DEPLOYMENT},
        logging.getLogger("run"),
    )
    sending = asyncio.ensure_future(shards.send([Shard("red", 1, 1)]))
    await eventually_async(lambda: run.looks >= 50)
    assert server.listed >= 49
    server.runs[0].state = Completed()
    await sending


async def test_a_connection_that_goes_down_during_a_look_is_not_started_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The senders' rows are read before the runs are listed."""
    run, listed = Looks(), server.read_flow_runs
    shards = Shards(
        cast("CampaignRun", run),
        StopRequest(ServerEvents()),
        {"red": DEPLOYMENT},
        logging.getLogger("run"),
    )

    async def fails_meanwhile(**options: Any) -> list[FlowRun]:
        if run.senders:
            run.senders = [replace(run.senders[0], ending=Ending.DOWN, ended_at=1.0)]
            server.runs[0].state = Failed()
        return await listed(**options)

    monkeypatch.setattr(server, "read_flow_runs", fails_meanwhile)
    sending = asyncio.ensure_future(shards.send([Shard("red", 1, 1)]))
    await eventually_async(lambda: server.runs)
    run.senders = [replace(LIVING, owner=str(server.runs[0].id))]
    await sending
    assert len(server.runs) == 1


class Moving(Looks):
    """A run whose recipients may move: the standby has `waiting` recipients."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere = object()
        self.waiting = 0
        self.is_giving = True
        self.ended: set[str] = set()

    async def progress(self) -> Progress:
        standing = Standing("blue", Tally(self.waiting), Binding(Cause.STARTING))
        moves = [Move("red", "blue", MoveReason.DOWN, self.waiting, 10)] if self.waiting else []
        return Progress("spring-sale", (standing,), tuple(moves))

    def sending_ended(self, name: str) -> None:
        self.ended.add(name)

    async def is_handing_over(self) -> bool:
        return self.is_giving


async def test_a_standby_starts_when_it_has_recipients_and_not_before(server: Server) -> None:
    """The run waits for the recipients of a connection that is down to go elsewhere."""
    run = Moving()
    shards = Shards(
        cast("CampaignRun", run),
        StopRequest(ServerEvents()),
        {"red": DEPLOYMENT, "blue": DEPLOYMENT},
        logging.getLogger("run"),
        standbys=["blue"],
    )
    sending = asyncio.ensure_future(shards.send([Shard("red", 1, 1), Shard("blue", 1, 1)]))
    await eventually_async(lambda: run.looks >= 20)
    (red,) = server.runs
    down = replace(LIVING, owner=str(red.id), ending=Ending.DOWN, ended_at=1.0)
    red.state, run.senders = Failed(), [down]
    await eventually_async(lambda: run.ended == {"red"})
    looks = run.looks
    await eventually_async(lambda: run.looks >= looks + 20)
    assert not sending.done()
    assert len(server.runs) == 1

    run.waiting, run.is_giving = 7, False
    await eventually_async(lambda: len(server.runs) == 2)
    blue = server.runs[1]
    assert blue.parameters["connection"] == "blue"
    blue.state = Completed()
    await sending
