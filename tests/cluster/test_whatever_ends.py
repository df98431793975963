"""A campaign on two workers, each a machine of its own as far as it knows, while others end.

MAILSLUICE_CLUSTER_RECIPIENTS is how many it has: 200000 is a good number where there is time.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed
from prefect_redis.lease_storage import ConcurrencyLeaseStorage
from redis.asyncio import Redis

from blocks import SMTPConnection
from deployments.cluster.cluster import Cluster
from deployments.cluster.member import Member
from flows.support.session_slots.lease_file import take_over
from mailsluice.store import Database
from mailsluice.store.schema import campaigns, recipients, senders
from tests.cluster.conftest import PATIENCE_SECONDS, RUNS_PER_WORKER
from tests.eventually import eventually as eventually_within
from tests.saved_blocks import save
from tests.smtpd import SmtpServer, most_in_a_second

eventually = partial(eventually_within, seconds=PATIENCE_SECONDS)
pytestmark = pytest.mark.usefixtures("clients")

RECIPIENTS = int(os.environ.get("MAILSLUICE_CLUSTER_RECIPIENTS", "400"))
STEP = RECIPIENTS // 10
"""Messages that the SMTP server answers between one end and the next."""
PER_SECOND = max(25, RECIPIENTS // 40)
PARTS = 3
"""Runs that send over the connection: with the campaign's own, the workers are full.

Each has one session. With several, the first run takes the slots of all others too.
"""
HELD_SECONDS = 600
"""A session waits so long for a reply: the server holds replies back while something ends."""
NAME = "whatever ends"
FINAL = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
"""Crashed is not: an automation has such a run go on."""


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """The server of the connection red, which has a limit a second and one session a part."""
    with SmtpServer() as server:
        block = SMTPConnection(
            host=server.host,
            port=server.port,
            security="none",
            max_sessions=PARTS,
            per_second=PER_SECOND,
            timeout_seconds=HELD_SECONDS,
        )
        save(block, "red")
        yield server


@pytest.fixture
def state(cluster: Cluster) -> Iterator[Database]:
    """The state database, as campaigns use it."""
    with Database(cluster.environment["MAILSLUICE_DATABASE_URL"]) as database:
        yield database


def document(folder: Path) -> dict[str, Any]:
    csv = folder / "recipients.csv"
    rows = (f"user{i}@d{i % 7}.example.com" for i in range(RECIPIENTS))
    csv.write_text("email\n" + "\n".join(rows) + "\n")
    return {
        "name": NAME,
        "recipients": {"path": str(csv)},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "strategy": "single",
        "routes": [{"connection": "red"}],
        "dispatch": "workers",
        "sessions_per_worker": 1,
    }


def statuses(state: Database) -> Counter[str]:
    query = (
        sa.select(recipients.c.status, sa.func.count())
        .join(campaigns, campaigns.c.id == recipients.c.campaign_id)
        .where(campaigns.c.name == NAME)
        .group_by(recipients.c.status)
    )
    with state.read() as connection:
        return Counter(dict(map(tuple, connection.execute(query))))


def number_of_senders(state: Database) -> int:
    with state.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(senders)).scalar_one()


def runs_of(worker: Member, prefect: SyncPrefectClient) -> dict[UUID, psutil.Process]:
    """The processes that a worker has started, by the id of their run."""
    started = psutil.Process(worker.pid).children(recursive=True)
    processes = {str(process.pid): process for process in started}
    return {
        run.id: processes[run.infrastructure_pid]
        for run in prefect.read_flow_runs()
        if run.infrastructure_pid in processes
    }


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def lapse(cluster: Cluster, state: Database, slots: Sequence[UUID], lost: set[UUID]) -> None:
    """Let all leases of lost runs expire at once; by themselves they do in 90 seconds."""
    assert slots
    asyncio.run(_expire(cluster.secrets("server")["PREFECT_REDIS_MESSAGING_URL"], slots))
    with state.write() as connection:
        own = senders.c.owner.in_(map(str, lost))
        connection.execute(sa.update(senders).where(own).values(lease_until=0.0))
        connection.execute(sa.update(campaigns).values(lease_until=0.0))


async def _expire(redis_url: str, leases: Sequence[UUID]) -> None:
    """Let leases of session slots expire in the store of Prefect's servers, if they have not."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        storage = ConcurrencyLeaseStorage(client)
        for lease in leases:
            await storage.renew_lease(lease, timedelta(0))


def send_more(smtp: SmtpServer) -> None:
    """Let the server answer another step's messages, and wait until they have arrived."""
    reached = len(smtp.received) + STEP
    smtp.release(until=reached)
    eventually(lambda: len(smtp.received), lambda seen: seen >= reached)


def test_nothing_is_lost_and_nothing_sent_twice_whatever_ends(
    cluster: Cluster,
    api: httpx.Client,
    prefect: SyncPrefectClient,
    smtp: SmtpServer,
    state: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of four processes on two workers; three of them share a connection and its limit.

    The worker with the campaign's own run is lost with its machine, of the other only its runs are
    left, an API server is killed, PostgreSQL crashes. The server holds back its replies in between,
    so all of it meets the middle of the campaign.
    """
    smtp.hold()
    deployment = prefect.read_deployment_by_name("send-campaign/default")
    parameters = {"campaign": document(cluster.files)}
    run_id = prefect.create_flow_run_from_deployment(deployment.id, parameters=parameters).id
    eventually(lambda: number_of_senders(state), lambda number: number == PARTS)
    eventually(lambda: smtp.held, lambda number: number == PARTS)
    runs = eventually(
        lambda: {worker.name: runs_of(worker, prefect) for worker in cluster.workers},
        lambda runs: {len(found) for found in runs.values()} == {RUNS_PER_WORKER},
        what="the server knows the process of each run",
    )
    lost, alone = sorted(cluster.workers, key=lambda one: run_id not in runs[one.name])

    lost.kill()
    os.kill(alone.pid, signal.SIGKILL)
    assert not any(map(is_alive, runs[lost.name].values()))
    assert all(map(is_alive, runs[alone.name].values()))
    monkeypatch.setenv("MAILSLUICE_HOME", str(cluster.folder / "home" / lost.name))
    slots = [*chain.from_iterable(take_over(str(prefect.api_url)))]
    send_more(smtp)

    cluster.api[0].kill()
    for _ in range(10):
        prefect.read_flow_run(run_id)
        prefect.read_flow_runs(limit=1)  # by POST, with a token that the other server gave
    send_more(smtp)

    smtp.release(until=len(smtp.received) + STEP)  # so replies come while PostgreSQL is away
    cluster.postgresql.kill()
    assert api.get("/ready").status_code in {502, 503}  # 502: no server is ready
    cluster.postgresql.start()
    eventually(lambda: api.get("/ready").status_code, lambda code: code == 200)

    lapse(cluster, state, slots, set(runs[lost.name]))
    # An automation does, after a minute and a half of silence: tests/flows/test_automations.py.
    for silent in runs[lost.name]:
        prefect.set_flow_run_state(silent, Crashed(), force=True)
    assert len(smtp.received) < RECIPIENTS - STEP
    smtp.release()
    for member in (alone, cluster.api[0]):
        member.start(wait=False)
    run: FlowRun = eventually(
        lambda: prefect.read_flow_run(run_id), lambda run: run.state_type in FINAL
    )
    assert run.state is not None
    assert run.state.is_completed(), run.state
    assert run.run_count > 1

    assert set(smtp.recipients.values()) == {1}
    found = statuses(state)
    assert found["sent"] + found["uncertain"] == RECIPIENTS
    assert found["sent"] <= len(smtp.received)
    # What the lost machine had claimed: some quarters of a second's worth of its runs.
    assert found["uncertain"] <= 4 * PER_SECOND
    assert most_in_a_second(smtp.received) <= PER_SECOND
