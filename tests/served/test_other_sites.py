"""The server of `make serve` answers its own UI and programs, and no page of another web site."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.eventually import PATIENCE_SECONDS
from tests.serving import CsrfToken, Served

SECRETS = {"include_secrets": True}
FOREIGN = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
]
SOCKETS = ["/api/events/in", "/api/events/out", "/api/logs/out"]


@pytest.fixture
def password(save_connection: Callable[..., None]) -> str:
    """A password that is kept in a block."""
    login = {"username": "me", "password": "kept-in-a-block", "allow_plain_password": True}
    save_connection("secret", port=2525, **login)
    return "kept-in-a-block"


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_gets_no_secret_of_a_block(
    served: Served, password: str, headers: dict[str, str]
) -> None:
    path = "/block_documents/filter"
    reply = served.api.post(path, json=SECRETS, headers=headers)
    assert reply.status_code == 403
    assert "access-control-allow-origin" not in reply.headers
    assert password not in reply.text
    assert password in served.api.post(path, json=SECRETS).text


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_sites_page_starts_no_run(served: Served, headers: dict[str, str]) -> None:
    path = f"/deployments/{served.deployment_id}/create_flow_run"
    before = served.api.post("/flow_runs/count", json={}).json()
    assert served.api.post(path, json={}, headers=headers).status_code == 403
    assert served.api.get("/csrf-token?client=theirs", headers=headers).status_code == 403
    assert served.api.options(path, headers=headers).status_code == 403
    assert served.api.post("/flow_runs/count", json={}).json() == before


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "10.0.0.1"])
def test_a_name_that_was_made_to_point_here_is_not_answered(served: Served, host: str) -> None:
    headers = {"Host": f"{host}:{urlsplit(served.url).port}"}
    for path in ("/api/health", "/api/block_documents/", "/v2/", "/ui-settings"):
        assert served.api.get(f"{served.url}{path}", headers=headers).status_code == 400
    as_its_own_page = headers | {"Origin": f"http://{headers['Host']}"}
    reply = served.api.post("/block_documents/filter", json=SECRETS, headers=as_its_own_page)
    assert reply.status_code == 400


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_uis_own_pages_are_answered_by_either_name(served: Served, name: str) -> None:
    origin = f"http://{name}:{urlsplit(served.url).port}"
    headers = {"Origin": origin}
    reply = served.api.post("/block_documents/filter", json=SECRETS, headers=headers)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == origin
    asks = headers | {"Access-Control-Request-Method": "POST"}
    preflight = served.api.options("/block_documents/filter", headers=asks)
    assert preflight.headers["access-control-allow-origin"] == origin
    settings = served.api.get(f"{origin}/ui-settings").json()
    assert (settings["api_url"], settings["csrf_enabled"]) == ("/api", True)


def test_a_change_takes_a_token(served: Served) -> None:
    body: dict[str, Any] = {"json": {}, "timeout": PATIENCE_SECONDS}
    assert httpx.post(f"{served.url}/api/flows/filter", **body).status_code == 403
    with_token = httpx.post(f"{served.url}/api/flows/filter", **body, auth=CsrfToken())
    assert with_token.status_code == 200


@pytest.mark.parametrize("path", SOCKETS)
def test_another_sites_page_hears_and_tells_no_events(served: Served, path: str) -> None:
    address = urlsplit(served.url)
    url = f"ws://{address.netloc}{path}"
    for origin in ("https://elsewhere.example", "http://localhost:3000", "null"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, origin=Origin(origin))
    rebound = f"ws://elsewhere.example:{address.port}"
    link = socket.create_connection((address.hostname, address.port))
    with link, pytest.raises(InvalidStatus, match="400"):
        connect(f"{rebound}{path}", sock=link, origin=Origin(rebound.replace("ws", "http")))
    own, spoken = Origin(served.url), [Subprotocol("prefect")]
    with connect(url, origin=own, subprotocols=spoken) as events:
        events.send('{"type": "auth", "token": null}')
        assert '"auth_success"' in str(events.recv())
