"""Verification counts deliveries, and finds those that events or recipients contradict."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.events.matching import match
from mailsluice.reports.verification import DeliveryTally, Tallies
from mailsluice.reports.verification.queries import count_campaign
from mailsluice.store import Campaigns, Database
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.schema import deliveries, events, recipients
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign

ANN, BOB = "ann@example.com", "bob@example.com"
BOUNCED, DELIVERED, DEFERRED = (
    DeliveryState.BOUNCED,
    DeliveryState.DELIVERED,
    DeliveryState.DEFERRED,
)


@pytest.fixture
def sent(database: Database) -> SentCampaign:
    """A campaign with the events of two recipients, beside one of another campaign."""
    other = SentCampaign(database, ["ann"], campaign="another")
    sent = SentCampaign(database, ["ann", "bob", "carl"])
    given = [
        ProviderEvent("1", DEFERRED, SENT_AT + 1, token=sent.token(ANN)),
        ProviderEvent("2", DELIVERED, SENT_AT + 2, token=sent.token(ANN)),
        ProviderEvent("3", BOUNCED, SENT_AT + 3, token=sent.token(BOB), failure=FailureKind.BLOCK),
        ProviderEvent("4", DELIVERED, SENT_AT + 2, token=other.token(ANN)),
    ]
    Deliveries(database).record("relay", match(database, "relay", given))
    return sent


def counted(database: Database, *changes: sa.Executable) -> Tallies:
    with database.write() as transaction:
        for change in changes:
            transaction.execute(change)
    return count_campaign(database, Campaigns(database).get("spring"))


def of(sent: SentCampaign, email: str, table: sa.Table = deliveries) -> sa.ColumnElement[bool]:
    column = table.c.id if table is recipients else table.c.recipient_id
    return column == sent.ids[email]


def test_events_in_order_contradict_nothing(database: Database, sent: SentCampaign) -> None:
    tallies = counted(database)
    assert tallies.deliveries == (
        DeliveryTally("relay", "bounced", 1),
        DeliveryTally("relay", "delivered", 1),
    )
    assert tallies.contradicted == 0


def test_forgotten_events_contradict_nothing(database: Database, sent: SentCampaign) -> None:
    tallies = counted(database, sa.delete(events).where(events.c.key == "2"))
    assert [tally.without_event for tally in tallies.deliveries] == [0, 0]
    assert tallies.contradicted == 0


@pytest.mark.parametrize(
    "values",
    [{"status": "failed", "code": 550}, {"status": "pending"}, {"connection": "direct"}],
)
def test_a_delivery_without_sent_mail_is_a_stray(
    database: Database, sent: SentCampaign, values: dict[str, Any]
) -> None:
    moved = sa.update(recipients).where(of(sent, BOB, recipients)).values(values)
    tallies = counted(database, moved)
    assert [tally.strays for tally in tallies.deliveries] == [1, 0]


def test_a_delivery_of_nobody_is_a_stray(database: Database, sent: SentCampaign) -> None:
    gone = sa.update(deliveries).where(of(sent, BOB)).values(recipient_id=10**9)
    assert [tally.strays for tally in counted(database, gone).deliveries] == [1, 0]


def test_a_state_without_its_event_and_an_event_without_a_delivery_are_found(
    database: Database, sent: SentCampaign
) -> None:
    tallies = counted(
        database,
        sa.update(deliveries).where(of(sent, BOB)).values(state="complained", rank=4),
        sa.delete(deliveries).where(of(sent, ANN)),
    )
    assert [tally.without_event for tally in tallies.deliveries] == [1]
    assert tallies.contradicted == 1


def test_a_delivery_that_an_event_outranks_is_found(database: Database, sent: SentCampaign) -> None:
    older = {"state": "deferred", "rank": 1, "at": SENT_AT + 1}
    tallies = counted(database, sa.update(deliveries).where(of(sent, ANN)).values(older))
    assert (tallies.contradicted, len(tallies.deliveries)) == (1, 2)
