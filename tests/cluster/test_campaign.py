"""A campaign on two workers, each a machine of its own as far as it knows, while others end.

MAILSLUICE_CLUSTER_RECIPIENTS is how many it has: 200000 is a good number where there is time.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType

from blocks import SMTPConnection
from deployments.cluster import Cluster
from deployments.cluster.cluster import POOL
from deployments.cluster.member import Member
from mailsluice.outbox import Database
from mailsluice.outbox.schema import campaigns, recipients, senders
from tests.eventually import eventually
from tests.smtpd import SmtpServer, most_in_a_second

pytestmark = [pytest.mark.usefixtures("clients"), pytest.mark.timeout(900)]

RECIPIENTS = int(os.environ.get("MAILSLUICE_CLUSTER_RECIPIENTS", "6000"))
PER_SECOND = max(100, RECIPIENTS // 60)
"""Of each connection: so that it takes half a minute, and things can happen meanwhile."""


@pytest.fixture
def workers(cluster: Cluster) -> Iterator[list[Member]]:
    """Two that take three runs each: so both have some of a campaign's five."""
    if len(cluster.workers) < 2:
        cluster.add_worker(POOL)
    both = cluster.workers[:2]
    for one in both:
        one.command = [*one.command, "--limit", "3"]
        one.restart()
    yield both
    for one in both:
        one.command = one.command[:-2]
        one.restart()


@pytest.fixture
def servers(prefect: SyncPrefectClient) -> Iterator[dict[str, SmtpServer]]:
    """Red and green, with a limit a second and ten sessions each."""
    with SmtpServer() as red, SmtpServer() as green:
        found = {"red": red, "green": green}
        for name, server in found.items():
            save_block(name, server)
        yield found


def save_block(name: str, server: SmtpServer, per_second: int = PER_SECOND) -> None:
    block = SMTPConnection(
        host=server.host,
        port=server.port,
        security="none",
        max_sessions=10,
        per_second=per_second,
    )
    block.save(name, overwrite=True, _sync=True)


@pytest.fixture
def state(cluster: Cluster) -> Iterator[Database]:
    """The state database, as campaigns use it."""
    with Database(cluster.environment["MAILSLUICE_DATABASE_URL"]) as database:
        yield database


def document(folder: Path, name: str, **fields: Any) -> dict[str, Any]:
    csv = folder / "recipients.csv"
    rows = (f"user{i}@d{i % 7}.example.com" for i in range(RECIPIENTS))
    csv.write_text("email\n" + "\n".join(rows) + "\n")
    return {
        "name": name,
        "recipients": {"path": str(csv)},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "strategy": "round_robin",
        "routes": [{"connection": "red"}, {"connection": "green"}],
        "dispatch": "workers",
        "sessions_per_worker": 5,
        **fields,
    }


def total(servers: dict[str, SmtpServer]) -> int:
    return sum(len(one.received) for one in servers.values())


def statuses(state: Database, name: str) -> Counter[str]:
    query = (
        sa.select(recipients.c.status, sa.func.count())
        .join(campaigns, campaigns.c.id == recipients.c.campaign_id)
        .where(campaigns.c.name == name)
        .group_by(recipients.c.status)
    )
    with state.read() as connection:
        return Counter(dict(map(tuple, connection.execute(query))))


def until_final(prefect: SyncPrefectClient, run_id: UUID) -> FlowRun:
    """Crashed is not: an automation has such a run go on."""

    def look() -> FlowRun:
        return prefect.read_flow_run(run_id)

    final = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
    for _ in range(5):  # each as long as `eventually` is patient: sessions of the lost take minutes
        with suppress(AssertionError):
            return eventually(look, lambda run: run.state_type in final)
    raise AssertionError(f"it never ended: {look().state}")


def runs_of(worker: Member) -> list[psutil.Process]:
    return psutil.Process(worker.pid).children(recursive=True)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.usefixtures("workers")
def test_four_processes_on_one_connection_keep_its_limit(
    cluster: Cluster,
    prefect: SyncPrefectClient,
    start: Callable[..., UUID],
    servers: dict[str, SmtpServer],
    state: Database,
) -> None:
    campaign = document(cluster.files, "four on red", strategy="single", sessions_per_worker=3)
    campaign["routes"] = [{"connection": "red"}]
    save_block("red", servers["red"], 2 * PER_SECOND)
    run = until_final(prefect, start("send-campaign", campaign=campaign))
    assert run.state is not None
    assert run.state.is_completed(), run.state
    with state.read() as connection:
        query = sa.select(sa.func.count()).select_from(senders).join(campaigns)
        number = connection.execute(query.where(campaigns.c.name == "four on red")).scalar_one()
    assert number == 4
    assert set(servers["red"].recipients.values()) == {1}
    assert len(servers["red"].received) == RECIPIENTS
    assert most_in_a_second(servers["red"].received) <= 2 * PER_SECOND


def test_nothing_is_lost_and_nothing_sent_twice_whatever_ends(
    cluster: Cluster,
    prefect: SyncPrefectClient,
    start: Callable[..., UUID],
    servers: dict[str, SmtpServer],
    workers: list[Member],
    state: Database,
) -> None:
    """A worker is lost with its machine, of the other only its runs are left, an API server is
    killed, PostgreSQL crashes.
    """
    lost, alone = workers
    run_id = start("send-campaign", campaign=document(cluster.files, "whatever ends"))
    eventually(lambda: total(servers), lambda seen: seen >= RECIPIENTS // 6)
    gone, left = runs_of(lost), runs_of(alone)
    lost.kill()
    os.kill(alone.pid, signal.SIGKILL)
    assert gone
    assert not any(map(is_alive, gone))
    assert any(map(is_alive, left))
    eventually(lambda: total(servers), lambda seen: seen >= RECIPIENTS // 3)
    cluster.api[0].kill()
    before = total(servers)
    eventually(lambda: total(servers), lambda seen: seen > before)
    cluster.postgresql.kill()
    cluster.postgresql.start()
    cluster.api[0].start()
    lost.start()
    alone.start()
    run = until_final(prefect, run_id)
    assert run.state is not None
    assert run.state.is_completed(), run.state

    received = sum((one.recipients for one in servers.values()), Counter[str]())
    assert set(received.values()) == {1}
    found = statuses(state, "whatever ends")
    assert found["sent"] + found["uncertain"] == RECIPIENTS
    assert found["sent"] <= len(received)
    # What the lost machine had claimed: some quarters of a second's worth of its runs.
    assert found["uncertain"] <= 4 * PER_SECOND
    for server in servers.values():
        assert most_in_a_second(server.received) <= PER_SECOND
