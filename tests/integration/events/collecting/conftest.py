"""A campaign, the simulated API of a provider, and a clock for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.campaign.identity import Provider
from mailsluice.events.pulled import brevo, mailgun, postmark, sparkpost
from mailsluice.events.pulled.account import EventAccount
from mailsluice.operations.events import collecting
from mailsluice.operations.events.collected import CollectedEvents
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.event_cursors import EventCursors
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.provider_apis.api import ProviderApi
from tests.provider_apis.lists import BrevoApi, MailgunApi, PostmarkApi, SparkPostApi, iso
from tests.unit.events import payloads


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home folder of its own."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))


NAMES = [f"u{number}" for number in range(8)]

HOUR, DAY = 3_600.0, 86_400.0

MODULES: Mapping[Provider, ModuleType] = {
    Provider.MAILGUN: mailgun,
    Provider.SPARKPOST: sparkpost,
    Provider.POSTMARK: postmark,
    Provider.BREVO: brevo,
}

APIS: Mapping[Provider, type[ProviderApi]] = {
    api.provider: api for api in (MailgunApi, SparkPostApi, PostmarkApi, BrevoApi)
}


@dataclass
class Clock:
    """The time, for the database, the providers and this test."""

    now: float = SENT_AT + HOUR

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Database, "moment", lambda _: datetime.fromtimestamp(clock.now, UTC))
    return clock


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three events a page, so that a few events have many pages."""
    for module in MODULES.values():
        monkeypatch.setattr(module, "_PER_PAGE", 3)
    monkeypatch.setattr(postmark, "_MOST_OFFSET", 6)
    monkeypatch.setattr(PostmarkApi, "most", 9)


def made(provider: Provider, number: int, at: float, sent: SentCampaign) -> dict[str, Any]:
    """An event about one of the campaign's messages, in the provider's format."""
    email = list(sent.ids)[number % len(sent.ids)]
    token = sent.token(email)
    match provider:
        case Provider.MAILGUN:
            return payloads.mailgun(
                ["delivered", "complained", "rejected"][number % 3],
                id=f"e{number}",
                timestamp=at,
                recipient=email,
                **{"user-variables": {"mailsluice": token}},
            )
        case Provider.SPARKPOST:
            return payloads.sparkpost(
                ["delivery", "delay", "spam_complaint"][number % 3],
                event_id=f"e{number}",
                timestamp=iso(at),
                rcpt_to=email,
                rcpt_meta={"mailsluice": token},
            )
        case Provider.POSTMARK:
            kind = ["HardBounce", "SpamComplaint", "Unsubscribe"][number % 3]
            return {
                "RecordType": "Bounce",
                "ID": number + 1,
                "Type": kind,
                "MessageID": f"m{number}",
                "Email": email,
                "Details": "550 5.1.1 no such user",
                "BouncedAt": iso(at),
                "Metadata": {"mailsluice": token},
            }
        case _:
            return {
                "email": email,
                "date": iso(at),
                "messageId": sent.message_id(email),
                "event": ["delivered", "deferred", "spam"][number % 3],
            }


class Killed(BaseException):
    """The process is gone."""


class Kills:
    """Kills the process at one of the steps of a run: before or after each effect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = -1
        for owner, name in ((Deliveries, "record"), (EventCursors, "save")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))

    def after(self, steps: int | None) -> None:
        """Kill at this step; None for never."""
        self._left = -1 if steps is None else steps

    def step(self) -> None:
        if self._left == 0:
            self._left = -1
            raise Killed
        self._left -= 1

    def _around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = effect(*args, **kwargs)
            self.step()
            return result

        return run


def collect(database: Database, *accounts: EventAccount, pages: int = 1_000_000) -> CollectedEvents:
    return collecting.collect(accounts, database, most_pages=pages, pause=lambda _: True)


def rows(database: Database, table: sa.Table) -> list[Any]:
    columns = [column for column in table.c if column.name not in ("received_at", "updated_at")]
    with database.read() as connection:
        return sorted(map(repr, connection.execute(sa.select(*columns)).all()))


@pytest.fixture(params=list(APIS), ids=str)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def sent(sqlite_database: Database) -> SentCampaign:
    return SentCampaign(sqlite_database, NAMES)
