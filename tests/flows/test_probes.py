"""Copies for probe mailboxes, sent by the flow and read back from a real dovecot."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from blocks import Mailbox
from flows.seed_test import seed_test
from flows.send_test import send_test
from flows.support.events import Milestone
from mailsluice.smtp.connection import Security
from tests.eventually import eventually
from tests.flows.conftest import Servers
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, write_csv
from tests.flows.test_send_test import shown
from tests.flows.written import page
from tests.integration.dovecot import PASSWORD, USERNAME, Dovecot, dovecot
from tests.integration.smtp_fixtures import Certificates
from tests.saved_blocks import save

FOLDERS = {"red": "INBOX", "green": "Junk"}
"""Where the mailbox puts the mail of each connection."""
HEAD = (
    b"Authentication-Results: mx.example.net; spf=fail smtp.mailfrom=example.com\r\n"
    b"Received: from relay (relay.example [203.0.113.7]) by mx.example.net with ESMTP id 1;\r\n"
    b" Fri, 27 Nov 2026 17:00:05 +0000\r\n"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    with dovecot(Certificates.make(tmp_path_factory.mktemp("certificates"))) as server:
        yield server


@pytest.fixture
def mailbox(running: Dovecot) -> Iterator[Dovecot]:
    """A mail server whose mailbox the block "probe" reaches."""
    block = Mailbox(
        host="127.0.0.1",
        port=running.ports[Security.TLS],
        username=USERNAME,
        password=PASSWORD,
        ca_file=running.ca_file,
    )
    save(block, "probe")
    with running.box() as box:
        box.folder.create("Junk")
    yield running
    running.empty()


def deliver(servers: Servers, mailbox: Dovecot) -> None:
    """Put the copies into the mailbox, as its host does, when both servers have them."""
    eventually(lambda: all(servers[name].received for name in FOLDERS), what="the copies are sent")
    with mailbox.box() as box:
        for name, folder in FOLDERS.items():
            (copy,) = servers[name].received
            box.append(HEAD + copy.content, folder)


async def test_copies_are_read_back_from_probe_mailboxes(
    tmp_path: Path, servers: Servers, mailbox: Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    final, _ = await asyncio.gather(
        ended(send_test, document(write_csv(tmp_path / "r.csv", 5)), probes=["probe"]),
        asyncio.to_thread(deliver, servers, mailbox),
    )
    assert final.is_failed()
    assert final.message == (
        "2 of 2 copies accepted. 1 of 2 copies in the inbox; green: spam at probe"
    )
    text = await shown(final)
    assert "| red | probe | inbox |" in text
    assert "| green | probe | spam (Junk) |" in text
    assert "red to probe, green to probe: SPF fails" in text
    assert "reached the mailbox's host without TLS" in text
    for words in (text, caplog.text):
        assert "@" not in words
    assert mailbox.count(criteria="UNSEEN") == 1


async def test_a_seed_test_is_stored_and_shows_its_trend(
    tmp_path: Path, servers: Servers, mailbox: Dovecot, state: Path
) -> None:
    told = []
    with patch("flows.seed_test.emit", lambda *given, **payload: told.append((given, payload))):
        final, _ = await asyncio.gather(
            ended(seed_test, document(write_csv(tmp_path / "r.csv", 5)), ["probe"]),
            asyncio.to_thread(deliver, servers, mailbox),
        )
    assert final.is_failed()
    assert str(final.message).startswith("below 80 % in the inbox: green (0 %). 2 of 2 copies")
    text = await page("seed-test-spring-sale")
    assert "| red | 100 % | 0 | 0 | 1 |" in text
    assert "| green | 0 % | 1 | 0 | 1 |" in text
    assert "](data:image/png;base64," in text
    assert servers["red"].received[0].subject.startswith("Hi Ann ")
    with closing(sqlite3.connect(state)) as connection:
        stored = connection.execute("SELECT connection, placement, spf FROM seed_results")
        assert {*stored} == {("red", "inbox", "fail"), ("green", "spam", "fail")}
    ((given, payload),) = told
    assert given == (Milestone.PLACEMENT_LOW, "spring-sale", "green")
    assert (payload["percent"], payload["least"], payload["spam"]) == (0, 80, 1)


async def test_a_probe_that_cannot_be_read_ends_the_test_before_anything_is_sent(
    tmp_path: Path, servers: Servers, mailbox: Dovecot
) -> None:
    save(Mailbox(host="127.0.0.1", port=1, username=USERNAME, password="some secret"), "away")
    campaign = document(write_csv(tmp_path / "r.csv", 5))
    final = await ended(send_test, campaign, probes=["probe", "away"])
    assert final.is_failed()
    assert "probe 'away': mailbox at 127.0.0.1:1: connection refused" in str(final.message)
    assert not any(server.received for server in servers.values())
