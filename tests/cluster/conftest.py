"""One cluster for all of its tests; without Debian's programs they are skipped, but not in CI.

Loading Prefect in ten processes takes most of the processor time. So members that run Python are
forks, and the tests start no others than those that they kill. So are the runs of the workers, but
for the first one of worker-1.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from deployments.cluster.cluster import Cluster
from deployments.cluster.member import ClusterError
from deployments.cluster.programs import program
from tests.forked.member import start_member
from tests.groups import items_beside
from tests.serving import ONE_REQUEST

RUNS_PER_WORKER = 2
SETTINGS = {
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1",
}
HANGS_AFTER_SECONDS = 1800
PATIENCE_SECONDS = 600.0
"""Members take half a minute to start, on a busy machine several: only who hangs waits so long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not cluster"` leaves them out; in parallel, one process runs them all."""
    for item in items_beside(__file__, items):
        item.add_marker("cluster")
        item.add_marker(pytest.mark.xdist_group("cluster"))
        item.add_marker(pytest.mark.timeout(HANGS_AFTER_SECONDS))


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    """All of it, with two workers. Not in pytest's folder, which PostgreSQL's user cannot enter."""
    try:
        for name in ("initdb", "redis-server", "nginx"):
            program(name)
    except ClusterError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with ExitStack() as stack:
        kept = tempfile.TemporaryDirectory(prefix="mailsluice-cluster-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(kept))
        folder.chmod(0o755)
        stack.enter_context(patch("deployments.cluster.member.Popen", start_member))
        running = stack.enter_context(
            Cluster(folder, workers=2, runs_per_worker=RUNS_PER_WORKER, environment=SETTINGS)
        )
        yield running
        for worker in running.workers:
            # Workers end by SIGINT, which they ignore if a shell started pytest in the background.
            worker.kill()


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
    with httpx.Client(
        base_url=cluster.api_url, verify=verified, timeout=20, limits=ONE_REQUEST
    ) as client:
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
