"""A dovecot for all tests of returned mail, and campaigns whose mail returns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from mailsluice.bounces.collected import Collected
from mailsluice.operations.collect_bounces import collect
from mailsluice.store import Database
from mailsluice.store.schema import bounces, suppressions
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.dovecot import Dovecot, dovecot
from tests.integration.smtp_fixtures import Certificates
from tests.returned_mail import Sent
from tests.smtpd import SmtpServer

RETURN_PATH = "bounces@example.com"


class Launch(Protocol):
    """Send a campaign to so many people; return the mail of each, by address."""

    def __call__(
        self, number: int = 10, name: str = "spring-sale", **message: Any
    ) -> dict[str, Sent]: ...


@pytest.fixture(scope="package")
def running(certificates: Certificates) -> Iterator[Dovecot]:
    with dovecot(certificates) as server:
        yield server


@pytest.fixture
def server(running: Dovecot) -> Iterator[Dovecot]:
    """Return a server with an empty mailbox."""
    yield running
    running.empty()


@pytest.fixture
def launch(database: Database, tmp_path: Path) -> Iterator[Launch]:
    with SmtpServer() as smtp:

        def sent(number: int = 10, name: str = "spring-sale", **message: Any) -> dict[str, Sent]:
            smtp.received.clear()
            document = campaign(
                tmp_path,
                people(number, "Example.ORG"),
                name=name,
                message={
                    "sender": "News <news@example.com>",
                    "subject": "Hi",
                    "text": "Hello",
                    "return_path": RETURN_PATH,
                    **message,
                },
            )
            sender = Sender(database, tmp_path)
            asyncio.run(sender.send(document, [connection("red", smtp)]))
            return {envelope.recipient: as_sent(envelope) for envelope in smtp.received}

        yield sent


def as_sent(message: Any) -> Sent:
    head = message.content.partition(b"\r\n\r\n")[0].decode()
    (message_id,) = (line[12:] for line in head.splitlines() if line.startswith("Message-ID: "))
    return Sent(message.sender, message.recipient, message_id)


class State:
    """The records of returned mail in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _all(self, query: sa.Select[Any]) -> list[Any]:
        with self._database.read() as reader:
            return list(reader.execute(query))

    def kinds(self) -> dict[str, str]:
        return {row.email: row.kind for row in self._all(sa.select(bounces))}

    def suppressed(self) -> set[str]:
        return {row.email for row in self._all(sa.select(suppressions.c.email))}

    def rows(self) -> list[Any]:
        return self._all(sa.select(bounces))


@pytest.fixture
def state(database: Database) -> State:
    return State(database)


def run(server: Dovecot, database: Database, limit: int = 10_000) -> Collected:
    return collect(server.mailbox(), database, limit=limit, source="mailbox bounces")
