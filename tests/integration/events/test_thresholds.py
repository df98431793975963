"""Thresholds of a campaign behind a relay: what its events report counts, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.events.matching import match
from mailsluice.store import Database, Providers
from mailsluice.store.alerts import Alerts
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.schema import recipients
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign

DELIVERED, BOUNCED, DEFERRED = (
    DeliveryState.DELIVERED,
    DeliveryState.BOUNCED,
    DeliveryState.DEFERRED,
)
HARD, BLOCK = FailureKind.HARD, FailureKind.BLOCK


@pytest.fixture
def sent(database: Database) -> SentCampaign:
    sent = SentCampaign(database, [f"u{number}" for number in range(1_000)])
    with database.write() as transaction:
        transaction.execute(sa.update(recipients).values(attempts=1))
    return sent


def record(database: Database, sent: SentCampaign, *groups: tuple[object, int]) -> list[str]:
    """Record as many events of each kind, one for each recipient; returns the alerts."""
    emails: Iterator[str] = iter(sent.ids)
    given = []
    for kind, number in groups:
        state = kind if isinstance(kind, DeliveryState) else BOUNCED
        failure = kind if isinstance(kind, FailureKind) else None
        for _ in range(number):
            token = sent.token(email := next(emails))
            given.append(ProviderEvent(email, state, SENT_AT + 1, token=token, failure=failure))
    Deliveries(database).record("relay", match(database, "relay", given))
    return [str(alert) for alert in Alerts(database).due(sent.id)[1]]


def test_mail_that_is_not_known_yet_does_not_dilute_the_bounces(
    database: Database, sent: SentCampaign
) -> None:
    told = record(database, sent, (DELIVERED, 97), (HARD, 3), (DEFERRED, 400))
    assert told == ["3 hard bounces of 100 (3.00 %): more than 2 %"]


def test_blocked_mail_counts_with_the_bounces(database: Database, sent: SentCampaign) -> None:
    told = record(database, sent, (DELIVERED, 890), (HARD, 10), (BLOCK, 50))
    assert told == [
        f"60 hard bounces and blocks (50) of 950 (6.32 %): more than {percent} %"
        for percent in (2, 5)
    ]


def test_where_only_bounces_are_reported_all_attempted_recipients_count(
    database: Database, sent: SentCampaign
) -> None:
    """Deliveries may be switched off at the provider: what has not bounced has arrived."""
    assert record(database, sent, (HARD, 18), (DeliveryState.DROPPED, 40)) == []


def test_an_alert_names_the_mailbox_provider_that_is_responsible(
    database: Database, sent: SentCampaign
) -> None:
    """The bounces of the first 300 recipients' provider alone exceed the threshold."""
    Providers(database).record(sent.id, {"unresolved": 700, "google": 300})
    ids = [*sent.ids.values()]
    with database.write() as transaction:
        for number, mine in ((2, ids[:300]), (1, ids[300:])):
            named = recipients.c.id.in_(mine)
            transaction.execute(sa.update(recipients).where(named).values(provider=number))
    told = record(database, sent, (HARD, 20), (BLOCK, 10), (DELIVERED, 870))
    assert told == [
        "30 hard bounces and blocks (10) of 900 (3.33 %): more than 2 %; Google alone has 30 of 300"
        " (10.00 %); all others are below the threshold together"
    ]
