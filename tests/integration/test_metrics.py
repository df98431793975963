"""Metrics of real campaigns, compared with the state database and with what servers received."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

import mailsluice
from deployments.command import main
from deployments.metrics_endpoint import Endpoint, EndpointError
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.metrics.app import MetricsApp
from mailsluice.metrics.event_meter import EventMeter
from mailsluice.metrics.exposition import exposed
from mailsluice.metrics.folder import metrics_folder
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.outlets import PUSH_URL, TEXT_FILE
from mailsluice.metrics.state import StateMetrics
from mailsluice.operations.events.app import EventsApp
from mailsluice.operations.events.matching import match
from mailsluice.operations.events.sources import EventSource
from mailsluice.operations.send import prepare
from mailsluice.reports.progress import Progress
from mailsluice.store import Database, Suppressions
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.schema import campaigns
from tests.eventually import eventually
from tests.integration.campaign_fixtures import campaign, connection, people
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.smtpd import Fault, Settings, SmtpServer, Stage

Samples = dict[tuple[str, ...], float]
"""Values by the name and the label values, in the order of the labels' names."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home folder of its own."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [sample.labels[name] for name in sorted(sample.labels)]
            found[(sample.name.removeprefix("mailsluice_"), *labels)] = sample.value
    return found


def scraped(app: MetricsApp) -> Samples:
    return samples(exposed(app.numbers())[0].decode())


def test_counters_are_what_the_database_has_and_gauges_go_with_the_run(tmp_path: Path) -> None:
    emails = [*people(30, "gmail.com"), *people(30), "no@example.com", "later@gmail.com"]
    document = campaign(tmp_path, emails, ["red", "blue"], throttle={"per_second": 200})
    refuses = {"no": Fault(Stage.RCPT, b"550 5.1.1 no such user")}
    defers = {"later": Fault(Stage.RCPT, b"450 4.2.0 later", times=1)}
    during: list[Samples] = []

    def look(progress: Progress) -> None:
        if progress.tally.sent and not during:
            during.append(scraped(MetricsApp()))

    with (
        SmtpServer(faults={**refuses, **defers}) as red,
        SmtpServer(faults={**refuses, **defers}) as blue,
    ):
        connections = [connection("red", red), connection("blue", blue)]
        report = mailsluice.send(document, connections, on_progress=look)
        got = {"red": red.recipients.total(), "blue": blue.recipients.total()}
    assert report.summary().startswith("61 of 62 sent")
    after = scraped(MetricsApp(StateMetrics()))
    for route in report.routes:
        name = route.connection
        for status in ("sent", "failed", "uncertain"):
            stored = route.by_status.get(status, 0)  # type: ignore[call-overload]
            assert after["recipients_settled_total", name, status] == stored
        accepted = sum(after["messages_total", name, by, "accepted"] for by in ("Google", "other"))
        assert accepted == got[name]
    by_outcome = {
        outcome: sum(
            value
            for key, value in after.items()
            if key[0] == "messages_total" and key[-1] == outcome
        )
        for outcome in ("accepted", "refused", "deferred")
    }
    assert by_outcome == {"accepted": 61, "refused": 1, "deferred": 1}
    assert after["campaigns", "completed"] == 1
    assert after["database_up",] == 1
    assert not any(key[0] in ("binding", "sessions", "recipients_waiting") for key in after)
    assert {key for key in during[0] if key[0] == "sessions"} == {
        ("sessions", "spring-sale", "blue"),
        ("sessions", "spring-sale", "red"),
    }
    assert during[0]["limit_messages_per_second", "spring-sale", "red"] == 100


def test_a_campaign_that_is_continued_counts_on(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(3), throttle={"per_day": 1})
    with SmtpServer() as red:
        for expected in (1, 1):
            mailsluice.send(document, [connection("red", red)], wait_seconds=1.0)
            assert scraped(MetricsApp())["recipients_settled_total", "red", "sent"] == expected


def test_processes_count_together(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(40), ["red"], dispatch="inline", processes=2)
    with SmtpServer() as red:
        mailsluice.send(document, [connection("red", red)])
    found = scraped(MetricsApp())
    assert found["recipients_settled_total", "red", "sent"] == 40
    assert found["messages_total", "red", "other", "accepted"] == 40


@contextmanager
def gateway(*, is_stuck: bool = False) -> Iterator[tuple[str, list[Any]]]:
    """A Pushgateway's URL, and the requests that it got: path, login and body."""
    got: list[Any] = []
    stuck = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Authorization"], body.decode()))
            if is_stuck:
                stuck.wait()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", got
    finally:
        stuck.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_short_run_leaves_its_numbers_with_a_gateway_and_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailsluice.metrics.outlets.PUSH_TIMEOUT_SECONDS", 100.0)
    monkeypatch.setenv(TEXT_FILE, str(tmp_path / "mailsluice.prom"))
    with SmtpServer() as red, gateway() as (address, got):
        monkeypatch.setenv(PUSH_URL, f"http://me:p%40ss@{address}")
        mailsluice.send(campaign(tmp_path, people(3)), [connection("red", red)])
        eventually(lambda: len(got) >= 2)
    path, login, body = got[-1]
    assert path.startswith("/metrics/job/mailsluice/instance/")
    assert base64.b64decode(login.removeprefix("Basic ")) == b"me:p@ss"
    for text in (body, (tmp_path / "mailsluice.prom").read_text()):
        found = samples(text)
        assert found["recipients_settled_total", "red", "sent"] == 3
        assert not any(key[0] == "sessions" for key in found)


@pytest.mark.parametrize("is_stuck", [True, False])
def test_a_gateway_that_fails_concerns_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_stuck: bool
) -> None:
    monkeypatch.setattr("mailsluice.metrics.outlets.PUSH_TIMEOUT_SECONDS", 0.1)
    with SmtpServer() as red, gateway(is_stuck=True) as (address, _):
        monkeypatch.setenv(PUSH_URL, f"http://{address if is_stuck else '127.0.0.1:1'}")
        report = mailsluice.send(campaign(tmp_path, people(3)), [connection("red", red)])
    assert report.summary() == "3 of 3 sent"


def test_the_state_database_tells_what_is_open(database: Database, tmp_path: Path) -> None:
    document = campaign(tmp_path, people(4), ["red", "blue"])
    run = prepare(database, document, owner="o", home=tmp_path, day=date(2026, 2, 3))
    Suppressions(database).add(["ann@example.net", "bob@example.net"], reason="manual", source="a")
    found = scraped(MetricsApp(StateMetrics(lambda: database)))
    asyncio.run(run.close())
    assert found["suppressions", "manual"] == 2
    with database.read() as reader:
        launched = reader.execute(sa.select(campaigns.c.created_at)).scalar_one()
    assert found["oldest_open_campaign_timestamp_seconds", "red"] == launched
    assert found["oldest_open_campaign_timestamp_seconds", "blue"] == launched


def test_events_are_counted_once_with_the_time_to_delivery(database: Database) -> None:
    known = SentCampaign(database, ["ann", "bob"])
    meter = EventMeter(now=lambda: SENT_AT + 100)
    events = [
        ProviderEvent("1", DeliveryState.DELIVERED, SENT_AT + 20, token=known.token(ANN)),
        ProviderEvent("2", DeliveryState.BOUNCED, SENT_AT + 30, token=known.token(BOB)),
        ProviderEvent("3", DeliveryState.DELIVERED, SENT_AT + 30, email="eve@example.com"),
    ]
    for _ in range(2):  # the second time they are known
        received = match(database, "relay", events, have_tokens=True)
        Deliveries(database, meter.see).record("relay", received)
    meter.end()
    found = scraped(MetricsApp())
    assert found["events_total", "relay", "delivered"] == 1
    assert found["events_total", "relay", "bounced"] == 1
    assert found["events_unmatched_total", "relay"] == 1
    assert found["event_lag_seconds_sum", "relay"] == 80 + 70
    assert found["time_to_delivery_seconds_sum", "relay", "other"] == 20
    assert found["time_to_delivery_seconds_count", "relay", "other"] == 1


ANN, BOB = "ann@example.com", "bob@example.com"


def test_a_port_that_is_taken_is_refused_in_words() -> None:
    endpoint = Endpoint(MetricsApp(), "127.0.0.1", 0)
    port = int(endpoint.url.split(":")[2].split("/")[0])
    with endpoint._socket, pytest.raises(EndpointError, match=f"port {port}: .* end the program"):
        Endpoint(MetricsApp(), "127.0.0.1", port)
    with pytest.raises(EndpointError, match="give an address of this machine"):
        Endpoint(MetricsApp(), "nowhere.invalid", 0)
    with pytest.raises(EndpointError, match="70000 is no port"):
        Endpoint(MetricsApp(), "127.0.0.1", 70_000)


def test_the_endpoint_answers_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    with SmtpServer() as red:
        mailsluice.send(campaign(tmp_path, people(3)), [connection("red", red)])
    endpoint = Endpoint(MetricsApp(StateMetrics()), "127.0.0.1", 0)
    with endpoint.beside():
        plain = httpx.get(endpoint.url)
        modern = httpx.get(endpoint.url, headers={"Accept": "application/openmetrics-text"})
        assert httpx.get(endpoint.url.removesuffix("metrics")).status_code == 404
        assert httpx.post(endpoint.url).status_code == 405
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert samples(plain.text)["recipients_settled_total", "red", "sent"] == 3
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")


def test_nothing_is_read_where_nobody_has_worked() -> None:
    assert not [*metrics_folder().read()]
    assert {key[0] for key in scraped(MetricsApp())} == {"build_info"}


@pytest.mark.parametrize("is_on", [True, False])
async def test_the_receiver_of_events_shows_metrics_where_it_is_told_to(
    sqlite_database: Database, *, is_on: bool
) -> None:
    async def sources() -> dict[str, EventSource]:
        return {}

    metrics = MetricsApp(StateMetrics(lambda: sqlite_database)) if is_on else None
    app = EventsApp(sqlite_database, sources, meter=EventMeter(), metrics=metrics)
    transport = httpx.ASGITransport(app.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == (200 if is_on else 404)
    assert not is_on or samples(answer.text)["database_up",] == 1


def test_the_command_shows_and_writes_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics_folder().begin().end(Numbers())
    assert main(["metrics", "show"]) == 0
    shown = capsys.readouterr().out
    assert main(["metrics", "write", str(tmp_path / "m.prom")]) == 0
    assert (tmp_path / "m.prom").read_text() == shown
    assert main(["metrics", "write", str(tmp_path / "m.txt")]) == 1
    assert "ends in .prom" in capsys.readouterr().err


def test_a_connection_that_refuses_the_login_counts_as_given_up(tmp_path: Path) -> None:
    with SmtpServer(Settings(users={"me": "right"})) as red:
        refused = connection("red", red, username="me", password="wrong", allow_plain_password=True)
        mailsluice.send(campaign(tmp_path, people(3)), [refused])
    found = scraped(MetricsApp())
    assert found["quarantines_total", "red"] == 1
    assert found["recipients_settled_total", "red", "sent"] == 0
