"""Who gets in, and how far."""

from __future__ import annotations

import ssl

import httpx
import pytest
import sqlalchemy as sa
from websockets import ConnectionClosedError, Subprotocol
from websockets.sync.client import connect

from deployments.cluster.cluster import Cluster
from mailsluice.store.database import Database
from tests.cluster.conftest import PATIENCE_SECONDS

FILTER = "/flows/filter"


@pytest.mark.parametrize("path", ["/admin/version", "/admin/settings", "/csrf-token?client=me"])
def test_without_a_login_the_api_gives_nothing(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 401
    assert api.get(path, auth=("mailsluice", "guessed")).status_code == 401


def test_with_the_login_it_does(api: httpx.Client, login: tuple[str, str]) -> None:
    assert api.get("/admin/version", auth=login).json()


def test_only_whether_it_is_healthy_can_be_asked_by_anybody(api: httpx.Client) -> None:
    assert api.get("/ready").status_code == 200
    assert api.get("/health").status_code == 200


def test_a_change_without_a_token_of_ones_own_is_refused(
    api: httpx.Client, login: tuple[str, str]
) -> None:
    assert api.post(FILTER, auth=login, json={}).status_code == 403
    token = api.get("/csrf-token", params={"client": "me"}, auth=login).json()["token"]
    headers = {"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "me"}
    assert api.post(FILTER, auth=login, headers=headers, json={}).status_code == 200
    stolen = headers | {"Prefect-Csrf-Client": "you"}
    assert api.post(FILTER, auth=login, headers=stolen, json={}).status_code == 403


def test_a_page_of_another_site_may_not_ask(cluster: Cluster, api: httpx.Client) -> None:
    def asked_from(origin: str) -> httpx.Response:
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return api.options(FILTER, headers=asks)

    foreign = asked_from("https://elsewhere.example")
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers
    assert asked_from(cluster.url).headers["access-control-allow-origin"] == cluster.url


def test_events_are_not_told_to_who_has_no_login(cluster: Cluster) -> None:
    trusted = ssl.create_default_context(cafile=cluster.environment["PREFECT_API_SSL_CERT_FILE"])
    address = cluster.api_url.replace("https://", "wss://") + "/events/out"
    opened = connect(
        address, ssl=trusted, subprotocols=[Subprotocol("prefect")], open_timeout=PATIENCE_SECONDS
    )
    with opened as events:
        events.send('{"type": "auth", "token": "guessed"}')
        with pytest.raises(ConnectionClosedError, match="1008"):  # policy violation
            events.recv()


def test_the_proxys_certificate_is_verified(cluster: Cluster) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{cluster.api_url}/health")


def test_nothing_is_spoken_in_clear(cluster: Cluster) -> None:
    plain = httpx.get(cluster.api_url.replace("https", "http") + "/health")
    assert plain.status_code == 400


def test_the_browser_is_told_to_keep_to_this_host(cluster: Cluster, api: httpx.Client) -> None:
    headers = api.get(f"{cluster.url}/v2/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "script-src 'self' 'unsafe-eval';" in policy  # else the graph of a run stays empty
    assert headers["x-frame-options"] == "DENY"
    assert headers["strict-transport-security"]
    settings = api.get(f"{cluster.url}/ui-settings").json()
    assert (settings["api_url"], settings["auth"], settings["csrf_enabled"]) == (
        "/api",
        "BASIC",
        True,
    )


@pytest.fixture
def campaigns_role(cluster: Cluster) -> sa.URL:
    url = sa.make_url(cluster.environment["MAILSLUICE_DATABASE_URL"])
    return url.set(drivername="postgresql+psycopg")


@pytest.mark.parametrize(
    ("database", "statement"),
    [
        ("mailsluice", "create table more (id int)"),
        ("mailsluice", "drop table campaigns"),
        ("mailsluice", "truncate recipients cascade"),
        ("mailsluice", "alter table recipients drop column email"),
        ("mailsluice", "create role friend"),
        ("mailsluice", "copy campaigns to program 'true'"),
        ("prefect", "select 1"),  # Prefect's database, with the blocks in it
        ("postgres", "select 1"),
    ],
)
def test_the_role_of_campaigns_can_only_read_and_write_rows(
    campaigns_role: sa.URL, database: str, statement: str
) -> None:
    engine = sa.create_engine(campaigns_role.set(database=database))
    refused = pytest.raises(sa.exc.DBAPIError, match=r"permission denied|must be (owner|superuser)")
    with refused, engine.connect() as connection:
        connection.execute(sa.text(statement))


def test_prefects_role_cannot_read_who_got_which_mail(cluster: Cluster) -> None:
    given = cluster.secrets("server")["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    url = sa.make_url(given).set(drivername="postgresql+psycopg", database="mailsluice")
    with pytest.raises(sa.exc.OperationalError, match="permission denied"):
        sa.create_engine(url).connect()


def test_blocks_are_encrypted_with_a_key_that_is_not_in_the_database(cluster: Cluster) -> None:
    given = cluster.secrets("server")["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    url = sa.make_url(given).set(drivername="postgresql+psycopg")
    with sa.create_engine(url).connect() as connection:
        keys = connection.execute(sa.text("select key from configuration")).scalars().all()
    assert "ENCRYPTION_KEY" not in keys


def test_campaigns_start_under_their_role(cluster: Cluster) -> None:
    Database(cluster.environment["MAILSLUICE_DATABASE_URL"]).close()
