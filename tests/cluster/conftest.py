"""One cluster for all of its tests; without Debian's programs they are skipped, but not in CI."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from deployments.cluster import Cluster, ClusterError
from deployments.cluster.programs import program

SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not cluster"` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("cluster")


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """All of it, with one worker. Not in pytest's folder, which PostgreSQL's user cannot enter."""
    try:
        for name in ("initdb", "redis-server", "nginx"):
            program(name)
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with ExitStack() as stack:
        kept = {"prefix": "mailsluice-cluster-", "ignore_cleanup_errors": True}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(**kept)))
        folder.chmod(0o755)
        yield stack.enter_context(Cluster(folder, workers=1, environment=SETTINGS))


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[None]:
    """Prefect's own clients in the test, set up as any client of the cluster."""
    given = cluster.environment
    settings = {
        PREFECT_API_URL: given["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: given["PREFECT_API_AUTH_STRING"],
        PREFECT_API_SSL_CERT_FILE: given["PREFECT_API_SSL_CERT_FILE"],
    }
    with temporary_settings(settings):
        yield


@pytest.fixture
def api(cluster: Cluster) -> Iterator[httpx.Client]:
    """The API through the proxy, over TLS that is verified, without a login."""
    authority = cluster.environment["PREFECT_API_SSL_CERT_FILE"]
    verified = ssl.create_default_context(cafile=authority)
    with httpx.Client(base_url=cluster.api_url, verify=verified, timeout=20) as client:
        yield client


@pytest.fixture
def login(cluster: Cluster) -> tuple[str, str]:
    """User and password."""
    user, _, password = cluster.environment["PREFECT_API_AUTH_STRING"].partition(":")
    return user, password


@pytest.fixture
def prefect() -> Iterator[SyncPrefectClient]:
    """Prefect's client, through the proxy."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def start(prefect: SyncPrefectClient) -> Callable[..., UUID]:
    """Start a run of a deployment, by the flow's name; returns its id."""

    def create(flow: str, **parameters: Any) -> UUID:
        name = "default" if flow == "send-campaign" else flow
        deployment = prefect.read_deployment_by_name(f"{flow}/{name}")
        run = prefect.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        return run.id

    return create
