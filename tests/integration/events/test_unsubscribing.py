"""Readers unsubscribe by a click: through the real application, on both databases."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from mailsluice.campaign import SenderIdentity
from mailsluice.message.unsubscribing import unsubscribe_tokens
from mailsluice.operations.events import unsubscribe_app
from mailsluice.operations.events.app import EventsApp
from mailsluice.operations.events.sources import EventSource
from mailsluice.operations.unsubscribe import recipient_of
from mailsluice.store import Database, Suppressions
from mailsluice.store.schema import deliveries, events, recipients, suppressions
from tests.eventually import eventually
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.events.sent_campaign import SentCampaign
from tests.integration.events.test_app import Pushing, running
from tests.smtpd import SmtpServer

pytestmark = pytest.mark.takes_turns

ANN, BOB = "ann@example.com", "bob@example.com"
WORDS = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def app(database: Database) -> Iterator[Pushing]:
    async def sources() -> Mapping[str, EventSource]:
        return {}

    with running(EventsApp(database, sources)) as pushing:
        yield pushing


@pytest.fixture
def sent(database: Database) -> SentCampaign:
    return SentCampaign(database, ["ann", "bob"])


def path(sent: SentCampaign, email: str = ANN) -> str:
    return f"/unsubscribe/{unsubscribe_tokens(sent.key)(sent.ids[email])}"


def listed(database: Database) -> dict[str, tuple[str, str]]:
    with database.read() as reader:
        rows = reader.execute(sa.select(suppressions))
        return {row.email: (row.reason, row.source) for row in rows}


def recorded(database: Database) -> list[tuple[int, str]]:
    query = sa.select(deliveries.c.recipient_id, deliveries.c.state)
    with database.read() as reader:
        return [(row.recipient_id, row.state) for row in reader.execute(query)]


FORMS: dict[str, Callable[[httpx.Client, str], httpx.Response]] = {
    "form": lambda client, path: client.post(path, data=WORDS),
    "multipart": lambda client, path: client.post(
        path, files={name: (None, value) for name, value in WORDS.items()}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_one_click_suppresses_the_recipient_once(
    form: str, database: Database, app: Pushing, sent: SentCampaign
) -> None:
    for _ in range(3):
        response = FORMS[form](app.client, path(sent))
        assert response.status_code == 200
        assert "<h1>You are unsubscribed</h1>" in response.text
    assert listed(database) == {ANN: ("unsubscribed", "one-click")}
    assert recorded(database) == [(sent.ids[ANN], "unsubscribed")]
    with database.read() as reader:
        assert reader.execute(sa.select(sa.func.count()).select_from(events)).scalar() == 1


def test_a_click_counts_again_after_the_address_was_removed_from_the_list(
    database: Database, app: Pushing, sent: SentCampaign
) -> None:
    app.client.post(path(sent), data=WORDS)
    Suppressions(database).remove([ANN], even_wishes=True)
    assert listed(database) == {}
    assert app.client.post(path(sent), data=WORDS).status_code == 200
    assert listed(database) == {ANN: ("unsubscribed", "one-click")}


def test_following_the_link_changes_nothing(
    database: Database, app: Pushing, sent: SentCampaign
) -> None:
    page = app.client.get(path(sent))
    assert page.status_code == 200
    assert "no more mail from example.org?" in page.text
    assert '<form method="post">' in page.text
    assert "@" not in page.text.replace("@media", "")
    assert app.client.head(path(sent)).status_code == 200
    assert (listed(database), recorded(database)) == ({}, [])


def test_pages_are_kept_and_framed_by_nobody_and_tell_nothing_to_others(
    app: Pushing, sent: SentCampaign
) -> None:
    answers = [
        app.client.get(path(sent)),
        app.client.post(path(sent), data=WORDS),
        app.client.get("/unsubscribe/nonsense"),
        app.client.post(path(sent), data={}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 400]
    for answer in answers:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "script" not in answer.text


def test_what_comes_from_the_database_is_escaped(
    database: Database, app: Pushing, sent: SentCampaign
) -> None:
    with database.write() as writer:
        writer.execute(
            sa.text("UPDATE campaigns SET sender_domain = :name"), {"name": "<script>alert(1)"}
        )
    for answer in (app.client.get(path(sent)), app.client.post(path(sent), data=WORDS)):
        assert "&lt;script&gt;" in answer.text
        assert "<script" not in answer.text


@pytest.mark.parametrize(
    "forge",
    [
        lambda row, mac: f"{row + 1}-{mac}",  # the token of another recipient
        lambda row, mac: f"{row}-{'0' * 24}",
        lambda row, mac: f"{row}-{mac[:-1]}",
        lambda row, mac: f"{row}-{mac.upper()}",
        lambda row, mac: f"{10**18}-{mac}",  # nobody's, or archived
        lambda row, mac: f"{2**64}-{mac}",
        lambda row, mac: "",
        lambda row, mac: f"{row}-{mac}/more",
        lambda row, mac: "%00",
        lambda row, mac: "..%2fevents%2frelay",
        lambda row, mac: "9" * 5_000,
        lambda row, mac: "' OR 1=1 --",
    ],
)
def test_a_forged_token_unsubscribes_nobody_and_learns_nothing(
    forge: Callable[[int, str], str], database: Database, app: Pushing, sent: SentCampaign
) -> None:
    row, _, mac = path(sent).rpartition("/")[2].partition("-")
    unknown = app.client.get("/unsubscribe/nonsense")
    for method in ("GET", "POST"):
        answer = app.client.request(
            method, f"/unsubscribe/{forge(int(row), mac)}", data=WORDS if method == "POST" else None
        )
        assert answer.status_code == 404
        if answer.headers["content-type"].startswith("text/html"):
            assert answer.text == unknown.text
    assert "reply to the mail" in unknown.text
    assert listed(database) == {}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"List-Unsubscribe=Yes", "application/x-www-form-urlencoded"),
        (b"&" * 4_000, "application/x-www-form-urlencoded"),
        (b"%ff\xff=\xff", "application/x-www-form-urlencoded"),
        (b"a=" + b"b" * 5_000 + b"&List-Unsubscribe=One-Click", "text/plain"),
        (b"no parts", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nOne-Click\r\n--x--", "multipart/form-data; boundary=x"),
        (b"--x\r\n" * 700, 'multipart/form-data; boundary="x'),
        (b'{"List-Unsubscribe": "One-Click"}', "application/json"),
    ],
)
def test_a_post_without_the_words_of_the_rfc_changes_nothing(
    content: bytes, kind: str, database: Database, app: Pushing, sent: SentCampaign
) -> None:
    answer = app.client.post(path(sent), content=content, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "Nothing has changed" in answer.text
    assert listed(database) == {}


def test_a_body_that_does_not_end_is_given_up(
    database: Database, app: Pushing, sent: SentCampaign
) -> None:
    host, port = app.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        head = f"POST {path(sent)} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        link.sendall(head.encode() + b"x" * 5_000)
        assert b" 400 " in link.recv(1_000)
    assert listed(database) == {}


def test_readers_wait_in_a_bounded_queue_and_events_do_not_wait_for_them(
    app: Pushing, sent: SentCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()

    def slow(*arguments: Any) -> Any:
        goes_on.wait(60)
        return recipient_of(*arguments)

    monkeypatch.setattr(unsubscribe_app, "recipient_of", slow)
    monkeypatch.setattr(unsubscribe_app, "MOST_WAITING", 3)
    try:
        with ThreadPoolExecutor(3) as pool:
            waiting = [
                pool.submit(httpx.post, app.url + path(sent), data=WORDS, timeout=60)
                for _ in range(3)
            ]
            eventually(lambda: app.app._unsubscribing._waiting == 3)
            later = app.client.post(path(sent), data=WORDS)
            assert (later.status_code, later.headers["retry-after"]) == (503, "30")
            assert "You are not unsubscribed yet" in later.text
            assert app.client.post("/events/relay", content=b"[]").status_code == 404
            goes_on.set()
            assert [answer.result().status_code for answer in waiting] == [200] * 3
    finally:
        goes_on.set()


def test_an_answer_is_given_only_after_the_commit(
    database: Database, app: Pushing, sent: SentCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise sa.exc.OperationalError("insert", {}, Exception("gone"))

    with monkeypatch.context() as patched:
        patched.setattr("mailsluice.operations.unsubscribe.Deliveries.record", fail)
        assert app.client.post(path(sent), data=WORDS).status_code == 503
    assert listed(database) == {}
    assert app.client.post(path(sent), data=WORDS).status_code == 200


def test_the_link_of_an_archived_campaign_says_what_to_do(
    database: Database, app: Pushing, sent: SentCampaign
) -> None:
    link = path(sent)
    with database.write() as writer:
        writer.execute(sa.delete(recipients))
    answer = app.client.post(link, data=WORDS)
    assert (answer.status_code, "too long ago" in answer.text) == (404, True)


def test_no_address_and_no_token_is_in_the_logs(
    app: Pushing, sent: SentCampaign, caplog: pytest.LogCaptureFixture
) -> None:
    app.client.post(path(sent), data=WORDS)
    app.client.get(path(sent)[:-1])
    assert "@" not in caplog.text + app.client.get("/health").text
    assert path(sent).rpartition("-")[2] not in caplog.text
    links = app.client.get("/health").json()["unsubscribe links"]
    assert links == {"unsubscribed": 1, "unknown link": 1}


async def test_who_clicks_gets_no_mail_of_the_next_campaign(
    database: Database, app: Pushing, tmp_path: Path
) -> None:
    """From the received mail to the next campaign: the real application, real SMTP servers."""
    identity = SenderIdentity.model_validate(
        {"one_click_url": "https://events.example.com", "unsubscribe_mailbox": "u@example.com"}
    )
    emails = people(20)
    sender = Sender(database, tmp_path)
    with SmtpServer() as red:
        red_connection = connection("red", red, identity=identity)
        await sender.send(campaign(tmp_path, emails), [red_connection])
        mails = [message_from_bytes(one.content, policy=default) for one in red.received]
        assert len({mail["List-Unsubscribe"] for mail in mails}) == 20
        leaving = {mail["To"]: mail for mail in mails[:3]}
        for mail in leaving.values():
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            link = mail["List-Unsubscribe"].partition(",")[0].strip("<>")
            assert app.client.post(urlsplit(link).path, data=WORDS).status_code == 200
        red.received.clear()
        await sender.send(campaign(tmp_path, emails, name="summer-sale"), [red_connection])
        assert {one.recipient for one in red.received} == {*emails} - {*leaving}
