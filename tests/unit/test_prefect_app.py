"""The application of Mailsluice's Prefect server: which requests are checked.

The tests load Prefect's server themselves, which takes seconds: one process does it, not all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED,
    temporary_settings,
)

pytestmark = pytest.mark.xdist_group("loads-prefect-server")


@pytest.fixture(autouse=True)
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the test a database, and restore what the application changes in Prefect."""
    from prefect.server import models
    from prefect.server.database import dependencies

    documents = models.block_documents
    for name in ("create_block_document", "update_block_document"):
        monkeypatch.setattr(documents, name, getattr(documents, name))
    monkeypatch.setitem(
        dependencies.MODELS_DEPENDENCIES,
        "database_config",
        dependencies.MODELS_DEPENDENCIES.get("database_config"),
    )
    url = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    with temporary_settings(
        {
            PREFECT_API_DATABASE_CONNECTION_URL: url,
            PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED: True,
        }
    ):
        yield


async def test_requests_of_the_servers_own_services_are_allowed() -> None:
    """Otherwise automations could not restart a crashed run."""
    from prefect.server.api.clients import OrchestrationClient

    from deployments.prefect_server.__main__ import prefect_app

    app = prefect_app("127.0.0.1")
    async with OrchestrationClient() as services:
        inside = await services._http_client.get("/health")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport) as network:
        named = await network.get("http://127.0.0.1:4200/api/health")
        pretended = await network.get("http://prefect-in-memory/api/health")
    assert (inside.status_code, named.status_code, pretended.status_code) == (200, 200, 400)
