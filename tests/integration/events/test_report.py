"""The report shows what became of accepted mail, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.events.matching import match
from mailsluice.reports.campaign.queries import statistics
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign

DEFERRED, DELIVERED, DROPPED, BOUNCED, UNSUBSCRIBED, COMPLAINED = DeliveryState


def test_deliveries_are_counted_by_connection_with_their_times(database: Database) -> None:
    names = [f"u{number}" for number in range(40)]
    sent = SentCampaign(database, names)
    emails = list(sent.ids)
    given = [
        ProviderEvent(f"d{number}", DELIVERED, SENT_AT + number, token=sent.token(email))
        for number, email in enumerate(emails[:20], 1)
    ]
    given += [
        ProviderEvent("c", COMPLAINED, SENT_AT + 500, token=sent.token(emails[0])),
        ProviderEvent(
            "b", BOUNCED, SENT_AT + 9, token=sent.token(emails[30]), failure=FailureKind.BLOCK
        ),
        ProviderEvent("p", DEFERRED, SENT_AT + 9, token=sent.token(emails[31])),
    ]
    SentCampaign(database, names, campaign="another")
    Deliveries(database).record("relay", match(database, "relay", given))
    counts = statistics(database, sent.id).deliveries["relay"]
    assert counts.by_state == {DELIVERED: 19, COMPLAINED: 1, BOUNCED: 1, DEFERRED: 1}
    assert counts.by_failure == {FailureKind.BLOCK: 1}
    assert (counts.median_seconds, counts.p95_seconds) == (10.0, 19.0)


def test_a_campaign_without_events_has_no_deliveries(database: Database) -> None:
    sent = SentCampaign(database, ["ann"])
    assert statistics(database, sent.id).deliveries == {}
    with database.read() as connection:
        assert connection.execute(sa.text("select count(*) from deliveries")).scalar() == 0
