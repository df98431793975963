"""Providers push events to a real HTTP server: accepted after the commit, or refused."""

from __future__ import annotations

import asyncio
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import orjson
import pytest
import sqlalchemy as sa
import uvicorn

from mailsluice.campaign.identity import Provider
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.operations.events import app
from mailsluice.operations.events.app import EventsApp
from mailsluice.operations.events.receiving import Reception, largest_request
from mailsluice.operations.events.recording import EventRecorder
from mailsluice.operations.events.sources import EventSource
from mailsluice.store import Database
from mailsluice.store.schema import deliveries, events
from tests.eventually import eventually
from tests.integration.events.sent_campaign import SentCampaign
from tests.unit.events import payloads
from tests.unit.events import test_signatures as signing
from tests.unit.events.test_sns import NOW as SNS_NOW
from tests.unit.events.test_sns import TOPIC, certificate, notification

pytestmark = pytest.mark.takes_turns

ANN = "ann@example.com"
LOGIN = ("provider", "a long password")
LOGIN_HEADER = "Basic " + b64encode(":".join(LOGIN).encode()).decode()
SOURCES = {
    source.connection: source
    for source in (
        EventSource("sendgrid", Provider.SENDGRID, signing.PUBLIC),
        EventSource("mailgun", Provider.MAILGUN, signing.SIGNING_KEY),
        EventSource("ses", Provider.SES, TOPIC),
        EventSource("own", Provider.NONE, signing.SECRET),
        *(
            EventSource(str(provider), provider, ":".join(LOGIN))
            for provider in (
                Provider.SPARKPOST,
                Provider.POSTMARK,
                Provider.BREVO,
                Provider.MAILJET,
            )
        ),
    )
}


class Pushing:
    """A provider's side of a running application."""

    def __init__(self, app: EventsApp, url: str) -> None:
        self.app, self.url = app, url
        self.client = httpx.Client(base_url=url, timeout=30)

    def push(
        self, connection: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.client.post(f"/events/{connection}", content=body, headers=headers)


@contextmanager
def running(app: EventsApp) -> Iterator[Pushing]:
    """Run the application in a thread, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app.asgi(), log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        eventually(lambda: server.started)
        pushing = Pushing(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
        try:
            with pushing.client:
                yield pushing
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def fetched() -> dict[str, bytes]:
    """Documents of Amazon's hosts by URL; a fetch removes its document."""
    return {}


@pytest.fixture
def pushing(database: Database, fetched: dict[str, bytes]) -> Iterator[Pushing]:
    async def sources() -> Mapping[str, EventSource]:
        return SOURCES

    def clock() -> float:
        return signing.NOW

    def fetch(url: str) -> bytes:
        try:
            return fetched.pop(url)
        except KeyError:
            raise OSError("gone") from None

    with running(EventsApp(database, sources, Reception(fetch=fetch, clock=clock))) as pushing:
        yield pushing


@pytest.fixture
def sent(database: Database) -> Callable[[str], SentCampaign]:
    return lambda connection: SentCampaign(database, ["ann", "bob"], connection=connection)


def states(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(deliveries.c.state)).scalars())


def request_of(connection: str, token: str) -> tuple[bytes, dict[str, str]]:
    """A genuine request of each provider about the delivery of one message."""
    body = orjson.dumps
    at = payloads.AT
    match connection:
        case "sendgrid":
            made = signing.sendgrid(body([payloads.sendgrid("delivered", mailsluice=token)]))
            return made.body, dict(made.headers)
        case "mailgun":
            signature = orjson.loads(signing.mailgun().body)["signature"]
            values = {"mailsluice": token}
            event = payloads.mailgun("delivered", **{"user-variables": values})
            return body({"signature": signature, "event-data": event}), {}
        case "own":
            event = {"key": "1", "state": "delivered", "at": at, "token": token}
            made = signing.signed(body({"events": [event]}))
            return made.body, dict(made.headers)
        case "sparkpost":
            event = payloads.sparkpost("delivery", rcpt_meta={"mailsluice": token})
            return body([{"msys": {"message_event": event}}]), {}
        case "postmark":
            metadata = {"mailsluice": token}
            moment = "2026-07-25T17:20:00Z"
            return body(
                payloads.postmark("Delivery", DeliveredAt=moment, Recipient=ANN, Metadata=metadata)
            ), {}
        case "brevo":
            return body(payloads.brevo("delivered", **{"X-Mailin-custom": token})), {}
        case "mailjet":
            return body(payloads.mailjet("sent", CustomID=token)), {}
        case _:
            raise AssertionError(connection)


@pytest.mark.parametrize("connection", [name for name in SOURCES if name != "ses"])
def test_a_genuine_request_is_recorded_and_a_forged_one_is_not(
    connection: str, database: Database, pushing: Pushing, sent: Callable[[str], SentCampaign]
) -> None:
    body, headers = request_of(connection, sent(connection).token(ANN))
    forged = {name: value[::-1] for name, value in headers.items()}
    if connection == "mailgun":
        stale = body.replace(b'"signature":"', b'"signature":"0')
        assert pushing.push(connection, stale).status_code == 401
    else:
        assert pushing.push(connection, body, forged).status_code == 401
    assert states(database) == []
    for _ in range(2):  # the second time the provider has not got our answer
        response = pushing.push(connection, body, headers or {"Authorization": LOGIN_HEADER})
        assert (response.status_code, states(database)) == (200, ["delivered"])
    assert pushing.client.get("/health").json()["recorded"] == 1


def test_a_token_of_mailgun_serves_one_body(
    pushing: Pushing, sent: Callable[[str], SentCampaign]
) -> None:
    campaign = sent("mailgun")
    body, _ = request_of("mailgun", campaign.token(ANN))
    other, _ = request_of("mailgun", campaign.token("bob@example.com"))
    assert pushing.push("mailgun", body).status_code == 200
    response = pushing.push("mailgun", other)
    assert (response.status_code, response.text) == (
        401,
        "the signature belongs to another request\n",
    )


def test_a_notification_of_sns_and_its_confirmation(
    database: Database,
    pushing: Pushing,
    fetched: dict[str, bytes],
    sent: Callable[[str], SentCampaign],
) -> None:
    assert SNS_NOW.timestamp() == signing.NOW
    confirming = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=1"
    values = notification(Type="SubscriptionConfirmation", SubscribeURL=confirming, Token="1")
    assert pushing.push("ses", orjson.dumps(values)).status_code == 503  # no certificate yet
    fetched |= {values["SigningCertURL"]: certificate(), confirming: b"<xml/>"}
    assert pushing.push("ses", orjson.dumps(values)).status_code == 200
    assert confirming not in fetched
    token = sent("ses").token(ANN)
    event = payloads.ses("Delivery", timestamp="2026-07-25T17:20:00Z", recipients=[ANN])
    event["mail"]["tags"]["mailsluice"] = [token]
    message = notification(Message=orjson.dumps(event).decode())
    assert pushing.push("ses", orjson.dumps(message)).status_code == 200
    assert states(database) == ["delivered"]
    assert pushing.push("ses", orjson.dumps({**message, "Message": "{}"})).status_code == 401


def test_a_request_that_is_too_large_is_not_read_to_its_end(pushing: Pushing) -> None:
    for connection in ("sendgrid", "mailgun"):
        largest = largest_request(SOURCES[connection].provider)
        assert pushing.push(connection, b"x" * (largest + 1)).status_code == 413
        assert pushing.push(connection, b"x" * largest).status_code == 401

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    streamed: httpx.Response | None = None
    try:
        streamed = pushing.client.post("/events/sendgrid", content=endless())
    except httpx.TransportError:  # the server has closed the connection
        return
    assert streamed.status_code == 413


@contextmanager
def half_sent(pushing: Pushing, connection: str, announced: int, sent: bytes) -> Iterator[None]:
    """A request whose body does not arrive."""
    host, port = pushing.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as link:
        head = (
            f"POST /events/{connection} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"
        )
        link.sendall(head.encode() + sent)
        yield


def test_slow_requests_hinder_nobody(
    database: Database, pushing: Pushing, sent: Callable[[str], SentCampaign]
) -> None:
    body, headers = request_of("sendgrid", sent("sendgrid").token(ANN))
    with ExitStack() as slow:
        for _ in range(100):
            slow.enter_context(half_sent(pushing, "sendgrid", 1_000, b"["))
        pushing.client.timeout = httpx.Timeout(20)  # shorter than a slow request
        assert pushing.push("sendgrid", body, headers).status_code == 200
    assert states(database) == ["delivered"]


def test_large_requests_hinder_only_their_connection(
    pushing: Pushing, sent: Callable[[str], SentCampaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "MOST_HELD", 100_000)
    body, headers = request_of("sendgrid", sent("sendgrid").token(ANN))
    other, _ = request_of("mailgun", sent("mailgun").token(ANN))
    with half_sent(pushing, "sendgrid", 200_000, b"x" * 99_900):
        eventually(lambda: pushing.app._held["sendgrid"] == 99_900)
        assert pushing.push("sendgrid", body, headers).status_code == 503
        assert pushing.push("mailgun", other).status_code == 200
    eventually(lambda: pushing.app._held["sendgrid"] == 0)
    assert pushing.push("sendgrid", body, headers).status_code == 200


def test_a_login_is_checked_before_the_body_is_read(pushing: Pushing) -> None:
    host, port = pushing.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(b"POST /events/brevo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert b" 401 " in link.recv(1_000)


def test_a_repeated_refusal_is_logged_now_and_then(
    pushing: Pushing, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        assert pushing.push("brevo", b"{}").status_code == 401
    assert caplog.text.count("events for brevo refused") == 1
    assert pushing.client.get("/health").json()["refused"] == {
        "the header field authorization is missing": 5
    }


def test_strangers_put_no_words_into_logs_and_counters(
    pushing: Pushing, caplog: pytest.LogCaptureFixture
) -> None:
    for value in (ANN, "bob@example.com"):
        assert pushing.push("ses", orjson.dumps({"Type": value})).status_code == 401
    assert len(pushing.app.refused) == 1
    assert "@" not in caplog.text + pushing.client.get("/health").text


def test_strangers_cause_no_requests_to_amazon(pushing: Pushing) -> None:
    """A certificate is fetched only for a message of the right topic and age."""
    other = notification(TopicArn=f"{TOPIC}2")
    assert pushing.push("ses", orjson.dumps(other)).status_code == 401
    old = notification(Timestamp="2020-07-25T17:20:00.000Z")
    assert pushing.push("ses", orjson.dumps(old)).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"), [("/events/nobody", 404), ("/events/", 404), ("/", 404)]
)
def test_an_unknown_path_is_refused(pushing: Pushing, path: str, status: int) -> None:
    assert pushing.client.post(path, content=b"[]").status_code == status
    assert pushing.client.get("/events/sendgrid").status_code == 405


def test_a_slash_at_the_end_leads_nowhere_else(
    database: Database, pushing: Pushing, sent: Callable[[str], SentCampaign]
) -> None:
    body, _ = request_of("mailgun", sent("mailgun").token(ANN))
    assert pushing.push("mailgun/", body).status_code == 200
    assert states(database) == ["delivered"]
    assert pushing.client.get("/health/").status_code == 404


def test_an_answer_is_given_only_after_the_commit(
    database: Database,
    pushing: Pushing,
    sent: Callable[[str], SentCampaign],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = request_of("sendgrid", sent("sendgrid").token(ANN))

    def fail(*_: Any) -> None:
        raise sa.exc.OperationalError("insert", {}, Exception("gone"))

    with monkeypatch.context() as patched:
        patched.setattr("mailsluice.operations.events.recording.Deliveries.record", fail)
        response = pushing.push("sendgrid", *made)
        assert (response.status_code, response.headers["retry-after"]) == (503, "30")
    assert states(database) == []
    assert pushing.push("sendgrid", *made).status_code == 200
    assert states(database) == ["delivered"]


async def test_the_fault_of_one_request_hinders_no_other(
    database: Database, sent: Callable[[str], SentCampaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = sent("relay")
    record = EventRecorder._record

    def fail_for_bob(self: EventRecorder, first: Any, given: Sequence[ProviderEvent]) -> Any:
        if any(event.key == "bob" for event in given):
            raise ValueError("a fault")
        return record(self, first, given)

    monkeypatch.setattr(EventRecorder, "_record", fail_for_bob)
    recorder = EventRecorder(database)
    made = [
        ProviderEvent(name, DeliveryState.DELIVERED, payloads.AT, token=campaign.token(ANN))
        for name in ("ann", "bob", "carl")
    ]
    waiting = [asyncio.create_task(recorder.record("relay", [event])) for event in made]
    await asyncio.sleep(0)
    running = asyncio.create_task(recorder.run())
    results = await asyncio.gather(*waiting, return_exceptions=True)
    running.cancel()
    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert (recorder.recorded.states, recorder._waiting) == ({DeliveryState.DELIVERED: 2}, 0)


def test_many_requests_at_once_share_transactions(
    database: Database, pushing: Pushing, sent: Callable[[str], SentCampaign]
) -> None:
    token = sent("brevo").token(ANN)
    bodies = [
        orjson.dumps(
            payloads.brevo("deferred", ts_event=payloads.AT + n, **{"X-Mailin-custom": token})
        )
        for n in range(120)
    ]

    def push(body: bytes) -> int:
        return pushing.client.post("/events/brevo", content=body, auth=LOGIN).status_code

    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(push, bodies)
        assert set(answers) == {200}
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(events)).scalar() == 120


def test_what_is_refused_is_logged_without_addresses(
    pushing: Pushing, caplog: pytest.LogCaptureFixture
) -> None:
    body = orjson.dumps([payloads.sendgrid("delivered")])
    assert pushing.push("sendgrid", body, {"x": ANN}).status_code == 401
    assert "events for sendgrid refused (401)" in caplog.text
    assert ANN not in caplog.text
