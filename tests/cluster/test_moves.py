"""Recipients that move to other connections while runs on workers send."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType

from blocks import SMTPConnection
from deployments.cluster.cluster import Cluster
from mailsluice.store import Database
from mailsluice.store.schema import campaigns, recipients
from tests.cluster.conftest import PATIENCE_SECONDS
from tests.eventually import eventually as eventually_within
from tests.saved_blocks import save
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Everybody, Fault, Stage

eventually = partial(eventually_within, seconds=PATIENCE_SECONDS)
pytestmark = pytest.mark.usefixtures("clients")
NAME = "a connection goes down on its worker"
REFUSAL = Fault(Stage.MAIL, b"550 5.7.1 your account is suspended")
FINAL = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}


def document(folder: Path) -> dict[str, Any]:
    csv = folder / "moving.csv"
    csv.write_text("email\n" + "".join(f"user{i}@example.com\n" for i in range(200)))
    return {
        "name": NAME,
        "recipients": {"path": str(csv)},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "strategy": "percentage",
        "routes": [
            {"connection": "first", "percent": 50},
            {"connection": "second", "percent": 50},
            {"connection": "third", "standby": True},
        ],
        "on_connection_down": "reassign",
        "dispatch": "workers",
    }


def connect(name: str, server: SmtpServer) -> None:
    block = SMTPConnection(host=server.host, port=server.port, security="none", max_sessions=1)
    save(block, name)


def runs_of(prefect: SyncPrefectClient, parent_id: UUID) -> dict[str, FlowRun]:
    """The runs on workers that a campaign's run has started, by connection."""
    mine = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent_id]))
    runs = prefect.read_flow_runs(flow_run_filter=mine)
    return {run.parameters["connection"]: run for run in runs if run.deployment_id}


def test_a_standby_starts_on_a_worker_when_another_connection_goes_down(
    cluster: Cluster, prefect: SyncPrefectClient
) -> None:
    """The other one sends meanwhile, and nobody gets the mail twice."""
    refusing = Settings(everybody=Everybody(21, REFUSAL))
    with SmtpServer(refusing) as first, SmtpServer() as second, SmtpServer() as third:
        for name, server in (("first", first), ("second", second), ("third", third)):
            connect(name, server)
        first.hold(after=20)
        second.hold(after=50)
        deployment = prefect.read_deployment_by_name("send-campaign/default")
        parameters = {"campaign": document(cluster.files)}
        run_id = prefect.create_flow_run_from_deployment(deployment.id, parameters=parameters).id
        eventually(lambda: first.held and second.held)
        assert runs_of(prefect, run_id).keys() == {"first", "second"}
        first.release()
        eventually(lambda: len(third.received), lambda number: number == 79)
        assert len(second.received) <= 51, "the other connection has not finished"
        second.release()
        run = eventually(lambda: prefect.read_flow_run(run_id), lambda run: run.state_type in FINAL)
    states = {name: started.state_type for name, started in runs_of(prefect, run_id).items()}
    assert states == {
        "first": StateType.FAILED,
        "second": StateType.COMPLETED,
        "third": StateType.COMPLETED,
    }
    assert run.state is not None
    assert run.state.is_completed(), run.state
    sent = [len(server.received) for server in (first, second, third)]
    assert sent == [21, 100, 79]
    assert max((first.recipients + second.recipients + third.recipients).values()) == 1
    _check_rows(cluster)


def _check_rows(cluster: Cluster) -> None:
    query = (
        sa.select(recipients.c.connection, recipients.c.reassigned_from, sa.func.count())
        .join(campaigns, campaigns.c.id == recipients.c.campaign_id)
        .where(campaigns.c.name == NAME, recipients.c.status == "sent")
        .group_by(recipients.c.connection, recipients.c.reassigned_from)
    )
    with (
        Database(cluster.environment["MAILSLUICE_DATABASE_URL"]) as database,
        database.read() as reader,
    ):
        rows = {tuple(row) for row in reader.execute(query)}
    assert rows == {("first", None, 21), ("second", None, 100), ("third", "first", 79)}
