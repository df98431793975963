"""What the members do together, and what happens when one of them is gone.

Here are Redis and the services; test_whatever_ends.py has workers, API servers and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from deployments.cluster.cluster import Cluster
from tests.cluster.conftest import PATIENCE_SECONDS
from tests.eventually import eventually as eventually_within
from tests.serving import ONE_REQUEST

eventually = partial(eventually_within, seconds=PATIENCE_SECONDS)
pytestmark = pytest.mark.usefixtures("clients")


class Told:
    """An automation that schedules a run, which no worker takes, at each event of its own."""

    def __init__(self, prefect: SyncPrefectClient) -> None:
        self._prefect = prefect
        self._name = f"told-{uuid4()}"
        prefect.create_work_pool(WorkPoolCreate(name=self._name, type="process"))
        self._deployment: UUID = prefect.create_deployment(
            prefect.create_flow_from_name(self._name),
            name=self._name,
            work_pool_name=self._name,
            entrypoint="nothing.nothing",
        )
        self._automation = Automation(
            name=self._name,
            trigger=EventTrigger(
                expect={self._name},
                match=ResourceSpecification({"prefect.resource.id": "test.*"}),
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[RunDeployment(deployment_id=self._deployment)],
        )
        self._automation.create(_sync=True)  # type: ignore[call-arg]

    def tell(self, api: httpx.Client) -> httpx.Response:
        """Send the event to a server."""
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": self._name,
            "resource": {"prefect.resource.id": "test.one"},
        }
        return api.post("/events", json=[event])

    def runs(self) -> int:
        """How many runs the automation has scheduled."""
        mine = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self._deployment]))
        return len(self._prefect.read_flow_runs(flow_run_filter=mine))

    def is_set_off_by(self, api: httpx.Client) -> None:
        """Tell until there is a run: services know a new automation a little after it was made."""

        def tell_and_look() -> bool:
            self.tell(api).raise_for_status()
            return self.runs() > 0

        eventually(tell_and_look, what="a run of the automation")

    def close(self) -> None:
        self._automation.delete(_sync=True)  # type: ignore[call-arg]


@pytest.fixture
def told(prefect: SyncPrefectClient) -> Iterator[Told]:
    """A new automation, with an event of its own."""
    automation = Told(prefect)
    yield automation
    automation.close()


@pytest.fixture
def server(cluster: Cluster, login: tuple[str, str]) -> Iterator[Callable[[int], httpx.Client]]:
    """One API server itself, past the proxy, with the login and a token for changes."""
    with ExitStack() as stack:

        def client(number: int) -> httpx.Client:
            url = cluster.api_server_url(number)
            api = stack.enter_context(
                httpx.Client(base_url=url, auth=login, timeout=20, limits=ONE_REQUEST)
            )
            token = api.get("/csrf-token", params={"client": f"test-{number}"}).json()["token"]
            api.headers["Prefect-Csrf-Token"] = token
            api.headers["Prefect-Csrf-Client"] = f"test-{number}"
            return api

        yield client


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


def test_an_event_at_one_server_sets_off_an_automation_in_the_services(
    server: Callable[[int], httpx.Client], told: Told
) -> None:
    told.is_set_off_by(server(0))


def test_redis_is_killed_and_automations_go_on(
    cluster: Cluster, server: Callable[[int], httpx.Client], told: Told
) -> None:
    cluster.redis.kill()
    cluster.redis.start()
    # Servers that were connected to it say 500 to whoever finds that out.
    eventually(lambda: told.tell(server(1)), lambda reply: reply.is_success)
    told.is_set_off_by(server(1))


def test_the_services_take_up_what_happened_while_they_were_away(
    cluster: Cluster, server: Callable[[int], httpx.Client], told: Told
) -> None:
    cluster.services.kill()
    told.tell(server(0)).raise_for_status()
    assert told.runs() == 0
    cluster.services.start()
    eventually(told.runs, what="a run of the automation")
