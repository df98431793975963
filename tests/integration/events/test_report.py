"""The report shows what became of accepted mail, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.operations.events.matching import match
from mailsluice.reports.campaign.queries import later_statistics, statistics
from mailsluice.reports.deliveries.counts import CampaignDeliveries
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.schema import recipients
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
    deliveries = statistics(database, sent.id).deliveries
    counts = deliveries.by_connection["relay"]
    assert counts.by_state == {DELIVERED: 19, COMPLAINED: 1, BOUNCED: 1, DEFERRED: 1}
    assert counts.by_failure == {FailureKind.BLOCK: 1}
    assert (counts.median_seconds, counts.p95_seconds) == (10.0, 19.0)
    assert deliveries.in_all == counts
    assert later_statistics(database, sent.id).deliveries == deliveries


def test_a_campaign_without_events_has_no_deliveries(database: Database) -> None:
    sent = SentCampaign(database, ["ann"])
    assert statistics(database, sent.id).deliveries == CampaignDeliveries()
    with database.read() as connection:
        assert connection.execute(sa.text("select count(*) from deliveries")).scalar() == 0


def test_a_comparison_counts_what_events_report(database: Database) -> None:
    """Mail without a final event is not known; that of a silent connection neither."""
    names = [f"u{number}" for number in range(10)]
    sent = SentCampaign(database, names)
    emails = [*sent.ids]
    with database.write() as transaction:
        values = {"attempts": 1, "code": 250}
        transaction.execute(sa.update(recipients).values(values))
        for email, connection in ((emails[8], "silent"), (emails[9], "unsubscribed")):
            mine = recipients.c.id == sent.ids[email]
            transaction.execute(sa.update(recipients).where(mine).values(connection=connection))
    happened = [
        (DELIVERED, 5.0, None),
        (DELIVERED, 7.2, None),
        (COMPLAINED, 90.0, None),
        (BOUNCED, 9.0, FailureKind.BLOCK),
        (BOUNCED, 8.0, FailureKind.HARD),
        (DROPPED, 1.0, None),
        (DEFERRED, 4.0, None),
    ]
    given = [
        ProviderEvent(email, state, SENT_AT + after, token=sent.token(email), failure=failure)
        for email, (state, after, failure) in zip(emails, happened, strict=False)
    ]
    given += [
        ProviderEvent("c", DELIVERED, SENT_AT + 6, token=sent.token(emails[2])),
        ProviderEvent("u", UNSUBSCRIBED, SENT_AT + 6, token=sent.token(emails[9])),
    ]
    Deliveries(database).record("relay", match(database, "relay", given))
    observed = observe(database, ["spring"])
    columns = ["mail", "known", "delivered", "undelivered", "blocked", "complained"]
    counts = observed.counts.set_index("connection")[columns].T.to_dict("list")
    assert counts == {
        "relay": [8, 6, 3, 3, 1, 1],
        "silent": [1, 0, 0, 0, 0, 0],
        "unsubscribed": [1, 0, 0, 0, 0, 0],
    }
    assert observed.unknown == {"relay": 0.25}
    assert observed.delays is not None
    known = observed.delays[observed.delays["seconds"] < 100]
    assert sorted(zip(known["seconds"], known["delivered"], strict=True)) == [
        (1, False), (5, True), (6, True), (7, True), (8, False), (9, False),
    ]  # fmt: skip
    (waiting,) = observed.delays[observed.delays["seconds"] >= 100].to_dict("records")
    assert not waiting["delivered"]
