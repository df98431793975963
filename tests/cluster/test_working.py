"""What the members do together, and what happens when one of them is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import FlowRun
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from blocks import SMTPConnection
from deployments.cluster import Cluster
from deployments.cluster.cluster import POOL, ROOT
from tests.cluster.waiting import waiting
from tests.eventually import eventually
from tests.smtpd import SmtpServer

pytestmark = pytest.mark.usefixtures("clients")


@pytest.fixture
def waiting_run(prefect: SyncPrefectClient, start: Callable[..., UUID], tmp_path: Path) -> UUID:
    """A run in a worker that goes on until `tmp_path / "end"` is there, and is running."""
    prefect.create_deployment(
        prefect.create_flow(waiting),
        name="waiting",
        work_pool_name=POOL,
        entrypoint="tests.cluster.waiting.waiting",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
    )
    run_id = start("waiting", path=str(tmp_path / "end"))
    eventually(
        lambda: prefect.read_flow_run(run_id), lambda run: run.state and run.state.is_running()
    )
    return run_id


@pytest.fixture
def server(cluster: Cluster, login: tuple[str, str]) -> Iterator[Callable[[int], httpx.Client]]:
    """One API server itself, past the proxy, with the login and a token for changes."""
    with ExitStack() as stack:

        def client(number: int) -> httpx.Client:
            url = cluster.api_server_url(number)
            api = stack.enter_context(httpx.Client(base_url=url, auth=login, timeout=20))
            token = api.get("/csrf-token", params={"client": f"test-{number}"}).json()["token"]
            api.headers["Prefect-Csrf-Token"] = token
            api.headers["Prefect-Csrf-Client"] = f"test-{number}"
            return api

        yield client


def told() -> dict[str, Any]:
    """An event of the tests' own."""
    return {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "test.told",
        "resource": {"prefect.resource.id": "test.one"},
    }


def set_off(api: httpx.Client, path: Path) -> None:
    """Tell until there is the file: services know a new automation a little after it was made."""

    def tell_and_look() -> bool:
        api.post("/events", json=[told()]).raise_for_status()
        look_until = time.monotonic() + 10
        while not path.exists() and time.monotonic() < look_until:
            time.sleep(0.1)
        return path.exists()

    eventually(tell_and_look, bool)


def assert_completes(prefect: SyncPrefectClient, run_id: UUID) -> None:
    def look() -> FlowRun:
        return prefect.read_flow_run(run_id)

    run = eventually(look, lambda run: run.state and run.state.is_final())
    assert run.state is not None
    assert run.state.is_completed(), run.state


def test_a_worker_does_a_run_under_the_role_of_campaigns(
    cluster: Cluster, prefect: SyncPrefectClient, start: Callable[..., UUID]
) -> None:
    path = cluster.files / "list.csv"
    assert_completes(prefect, start("export-suppressions", path=str(path)))
    assert path.read_text().startswith('"email"')


def test_a_campaign_is_sent_by_a_worker(
    cluster: Cluster, prefect: SyncPrefectClient, start: Callable[..., UUID]
) -> None:
    people = [f"person{number}@example.com" for number in range(50)]
    path = cluster.files / "people.csv"
    path.write_text("\n".join(["email", *people]))
    with SmtpServer() as smtp:
        block = SMTPConnection(host="127.0.0.1", port=smtp.port, security="none")
        block.save("cluster", overwrite=True, _sync=True)
        campaign = {
            "name": "by a worker",
            "recipients": {"path": str(path)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "single",
            "routes": [{"connection": "cluster"}],
        }
        assert_completes(prefect, start("send-campaign", campaign=campaign))
        assert len(smtp.received) == len(people)


@pytest.fixture
def exported(cluster: Cluster, prefect: SyncPrefectClient) -> Iterator[Path]:
    """A file that is there once an automation has been set off by the event `told()`."""
    deployment = prefect.read_deployment_by_name("export-suppressions/export-suppressions")
    path = cluster.files / f"{uuid4()}.csv"
    automation = Automation(
        name=f"export when told: {path}",
        trigger=EventTrigger(
            expect={"test.told"},
            match=ResourceSpecification({"prefect.resource.id": "test.*"}),
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[RunDeployment(deployment_id=deployment.id, parameters={"path": str(path)})],
    )
    automation.create(_sync=True)
    yield path
    automation.delete(_sync=True)


def test_an_event_at_one_server_sets_off_an_automation_in_the_services(
    server: Callable[[int], httpx.Client], exported: Path
) -> None:
    set_off(server(0), exported)


def test_a_lease_taken_at_one_server_is_kept_by_the_other(
    server: Callable[[int], httpx.Client], prefect: SyncPrefectClient
) -> None:
    limit = GlobalConcurrencyLimitCreate(name="one-at-a-time", limit=1)
    prefect.create_global_concurrency_limit(limit)
    wanted = {"names": ["one-at-a-time"], "slots": 1, "mode": "concurrency"}
    first, second = server(0), server(1)
    taken = first.post("/v2/concurrency_limits/increment-with-lease", json=wanted)
    lease = taken.raise_for_status().json()["lease_id"]
    renewed = second.post(
        f"/v2/concurrency_limits/leases/{lease}/renew", json={"lease_duration": 60}
    )
    assert renewed.status_code == 204
    refused = second.post("/v2/concurrency_limits/increment-with-lease", json=wanted)
    assert refused.status_code == 423
    released = second.post("/v2/concurrency_limits/decrement-with-lease", json={"lease_id": lease})
    assert released.status_code == 204
    assert first.get("/v2/concurrency_limits/one-at-a-time").json()["active_slots"] == 0


def test_an_api_server_is_killed_and_the_others_answer(
    cluster: Cluster, prefect: SyncPrefectClient, waiting_run: UUID, tmp_path: Path
) -> None:
    cluster.api[0].kill()
    try:
        for _ in range(10):
            prefect.read_flow_run(waiting_run)
            prefect.read_flow_runs(limit=1)  # by POST, with a token that the other server gave
        (tmp_path / "end").touch()
        assert_completes(prefect, waiting_run)
    finally:
        cluster.api[0].start()


def test_postgresql_crashes_and_comes_back_and_runs_go_on(
    cluster: Cluster,
    api: httpx.Client,
    prefect: SyncPrefectClient,
    waiting_run: UUID,
    tmp_path: Path,
) -> None:
    cluster.postgresql.kill()
    try:
        assert api.get("/ready").status_code in {502, 503}  # 502: no server is ready
    finally:
        cluster.postgresql.start()
    eventually(lambda: api.get("/ready").status_code, lambda code: code == 200)
    (tmp_path / "end").touch()
    assert_completes(prefect, waiting_run)


def test_redis_is_killed_and_automations_go_on(
    cluster: Cluster, server: Callable[[int], httpx.Client], exported: Path
) -> None:
    cluster.redis.kill()
    cluster.redis.start()
    # Those that were connected to it say 500 to whoever finds that out.
    eventually(lambda: server(1).post("/events", json=[told()]), lambda reply: reply.is_success)
    set_off(server(1), exported)


def test_the_services_take_up_what_happened_while_they_were_away(
    cluster: Cluster, server: Callable[[int], httpx.Client], exported: Path
) -> None:
    cluster.services.kill()
    server(0).post("/events", json=[told()]).raise_for_status()
    cluster.services.start()
    eventually(exported.exists, bool)
