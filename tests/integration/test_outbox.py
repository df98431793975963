"""The contract of the outbox, on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.core.errors import CampaignBusyError, CampaignDiffersError, OutboxError
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.group_commit import GroupCommit
from mailsluice.delivery.store_requests import ClaimRequest, Requests
from mailsluice.store import (
    Campaigns,
    Database,
    History,
    Launches,
    Leases,
    Outbox,
    Settled,
    Suppressions,
)
from mailsluice.store.schema import attempts, recipients, rejects
from tests.integration.outbox_fixtures import Store, audience, claim, row, settle


class TestIdentity:
    def test_the_same_name_with_the_same_content_is_the_same_campaign(
        self, campaigns: Campaigns
    ) -> None:
        first = campaigns.register("spring", {"b": 1, "a": [1, 2]})
        assert campaigns.register("spring", {"a": [1, 2], "b": 1}).id == first.id

    def test_the_same_name_with_other_content_is_refused_naming_what_differs(
        self, campaigns: Campaigns
    ) -> None:
        old = {"message": {"html": "x", "text": None}, "routes": [{"connection": "a"}]}
        new = {"message": {"html": "y", "text": None}, "routes": [{"connection": "b"}]}
        campaigns.register("spring", old)
        with pytest.raises(CampaignDiffersError, match=r"message\.html, routes\[0\]\.connection"):
            campaigns.register("spring", new)

    def test_an_unknown_name_is_named(self, campaigns: Campaigns) -> None:
        with pytest.raises(OutboxError, match="no campaign 'autumn'"):
            campaigns.get("autumn")


class TestAudience:
    def test_the_resolved_audience_is_stored(self, campaigns: Campaigns, stored: Store) -> None:
        outbox = stored(5)
        record = campaigns.get("spring")
        assert (record.accepted, record.status) == (5, CampaignStatus.READY)
        assert outbox.counts().by_connection == {
            "a": {RecipientStatus.PENDING: 3},
            "b": {RecipientStatus.PENDING: 2},
        }
        assert outbox.counts().is_conserved
        assert outbox.columns() == ["first_name"]
        assert [route.assigned for route in campaigns.routes(record.id)] == [3, 2]

    def test_a_launch_replaces_the_rows_of_an_interrupted_one(
        self, database: Database, campaigns: Campaigns, stored: Store
    ) -> None:
        record = campaigns.register("spring", {"strategy": "single"})
        Launches(database).store_audience(record.id, [audience(4)], [])
        assert stored(6).counts().of() == 6

    def test_missing_rows_stop_the_campaign(self, database: Database, campaigns: Campaigns) -> None:
        record = campaigns.register("spring", {})
        Launches(database).store_audience(record.id, [audience(4)], [])
        for read, accepted in ((5, 4), (5, 5)):  # a row not accounted for; one not stored
            with pytest.raises(OutboxError):
                Launches(database).finish(
                    record.id,
                    read_rows=read,
                    accepted=accepted,
                    rejected={},
                    assigned=[],
                    digest="",
                )
        assert campaigns.get("spring").status is CampaignStatus.RESOLVING

    def test_rejects_can_be_read_afterwards(self, database: Database, campaigns: Campaigns) -> None:
        record = campaigns.register("spring", {})
        rejected = pd.DataFrame(
            {"row": [3], "email": ["no-address"], "reason": ["invalid"], "detail": ["no @"]}
        )
        Launches(database).store_audience(record.id, [audience(2)], [rejected])
        with database.read() as connection:
            found = connection.execute(sa.select(rejects)).one()
        assert (found.row, found.email, found.reason) == (3, "no-address", "invalid")

    def test_hostile_text_is_stored_unchanged(
        self, database: Database, campaigns: Campaigns
    ) -> None:
        text = "\"'; DROP TABLE recipients; -- \\ \t\n ✓ 𝕏"
        record = campaigns.register("spring", {})
        chunk = audience(1).assign(variables=text)
        Launches(database).store_audience(record.id, [chunk], [])
        assert claim(database, Outbox(database, record.id))[0].variables == text

    def test_many_recipients_are_stored_in_order(
        self, database: Database, campaigns: Campaigns, stored: Store
    ) -> None:
        outbox = stored(1_234)

        found = claim(database, outbox, "a", 1_000) + claim(database, outbox, "b", 1_000)

        assert [
            recipient.email for recipient in sorted(found, key=lambda recipient: recipient.id)
        ] == [*audience(1_234)["email"]]

    def test_columns_of_numbers_and_missing_values_are_stored(
        self, database: Database, campaigns: Campaigns
    ) -> None:
        record = campaigns.register("spring", {})
        more: dict[str, Any] = {
            "next_attempt_at": [1.5, np.nan],
            "reassigned_from": ["b", None],
            "code": [451, 0],
        }
        Launches(database).store_audience(record.id, [audience(2).assign(**more)], [])

        columns = [recipients.c[name] for name in more]
        with database.read() as connection:
            found = connection.execute(sa.select(*columns).order_by(recipients.c.id)).all()
        assert found == [(1.5, "b", 451), (None, None, 0)]


class TestClaims:
    def test_recipients_are_claimed_in_send_order_and_only_once(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(8)
        first, second = claim(database, outbox, limit=3), claim(database, outbox, limit=3)
        emails = [recipient.email for recipient in first + second]
        assert emails == [f"user{i}@example.com" for i in (0, 2, 4, 6)]
        assert claim(database, outbox) == []
        assert set(outbox.in_doubt()) == {recipient.id for recipient in first + second}

    def test_a_connection_claims_only_its_own_recipients(
        self, database: Database, stored: Store
    ) -> None:
        assert {recipient.email for recipient in claim(database, stored(4), "b")} == {
            "user1@example.com",
            "user3@example.com",
        }

    def test_released_recipients_can_be_claimed_again(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(4)
        taken = claim(database, outbox)
        with database.write() as transaction:
            outbox.release(transaction, [taken[0].id])
        assert [recipient.id for recipient in claim(database, outbox)] == [taken[0].id]

    def test_claims_continue_after_an_id(self, database: Database, stored: Store) -> None:
        outbox = stored(8)
        with database.write() as transaction:
            first = outbox.claim(transaction, "a", 1)
            rest = outbox.claim(transaction, "a", 10, first[0].id + 2)
        assert [recipient.email for recipient in rest] == ["user4@example.com", "user6@example.com"]

    def test_recipients_suppressed_after_the_launch_are_not_claimed(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(8)
        suppressions = Suppressions(database)
        emails = ["user0@example.com", "user4@example.com"]
        assert suppressions.add(emails, reason="unsubscribed", source="link") == 2
        assert [recipient.email for recipient in claim(database, outbox, limit=2)] == [
            "user2@example.com",
            "user6@example.com",
        ]
        assert outbox.counts().of(RecipientStatus.SUPPRESSED) == 2

    def test_a_rolled_back_claim_takes_nothing(self, database: Database, stored: Store) -> None:
        outbox = stored(4)
        with database.engine.connect() as connection, connection.begin() as transaction:
            assert outbox.claim(connection, "a", 10)
            transaction.rollback()
        assert outbox.in_doubt() == {}

    def test_a_sender_changes_nothing_that_another_one_has_claimed_since(
        self, database: Database, stored: Store
    ) -> None:
        """A sender repeats a transaction whose commit, or its confirmation, was lost."""
        own_run = stored(2)
        campaign_id = own_run._campaign_id
        first, second = (Outbox(database, campaign_id, sender_id) for sender_id in (1, 2))
        (taken,) = claim(database, second)
        for stranger in (first, own_run):
            with database.write() as transaction:
                stranger.release(transaction, [taken.id])
                stranger.settle(transaction, [Settled(taken.id, RecipientStatus.SENT, 1)])
            assert row(database, taken.id).status == RecipientStatus.SENDING
            assert claim(database, stranger) == []
        settle(database, second, Settled(taken.id, RecipientStatus.SENT, 1))
        assert row(database, taken.id).status == RecipientStatus.SENT

    def test_a_claim_whose_commit_is_lost_takes_nothing_from_the_sender_that_claims_then(
        self, database: Database, stored: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database crashes at the commit, and is back before the first sender repeats it."""
        campaign_id = stored(2)._campaign_id
        first, second = (Outbox(database, campaign_id, sender_id) for sender_id in (1, 2))
        commit = GroupCommit(database, first, None, None)
        loop = asyncio.new_event_loop()
        requests = Requests(claims=[ClaimRequest("a", 10, loop.create_future())])
        with monkeypatch.context() as patch:
            patch.setattr(database, "write", partial(_crashing, database.write))
            with pytest.raises(ConnectionError):
                commit.attempt(requests)
        (taken,) = claim(database, second)
        (batch,) = commit.attempt(requests).batches
        assert not batch.rows
        assert row(database, taken.id).claimed_by == 2
        assert row(database, taken.id).status == RecipientStatus.SENDING
        loop.close()


@contextmanager
def _crashing(write: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """A transaction whose commit fails, without effect."""
    with write() as transaction:
        yield transaction
        raise ConnectionError("the server has crashed")


class TestOutcomes:
    def test_an_outcome_is_recorded_with_code_and_reply(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored()
        one = claim(database, outbox)[0]
        settle(
            database,
            outbox,
            Settled(one.id, RecipientStatus.SENT, 1, 250, "2.0.0 queued as 1ABC"),
        )
        found = row(database, one.id)
        assert (found.status, found.attempts, found.code) == ("sent", 1, 250)
        assert found.reply == "2.0.0 queued as 1ABC"
        assert found.settled_at is not None
        assert found.first_attempt_at == pytest.approx(found.settled_at, abs=30)

    def test_a_deferred_recipient_is_claimed_when_it_is_due(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(2)
        one = claim(database, outbox)[0]
        later = Settled(one.id, RecipientStatus.DEFERRED, 1, 450, "later", 3_600.0)
        settle(database, outbox, later)
        with database.write() as transaction:
            due = outbox.next_due_seconds(transaction, "a")
        assert due == pytest.approx(3_600, abs=30)
        assert claim(database, outbox) == []
        with database.write() as transaction:
            transaction.execute(sa.update(recipients).values(next_attempt_at=1.0))
        again = claim(database, outbox)
        assert [(found.id, found.attempts) for found in again] == [(one.id, 1)]

    def test_without_deferred_recipients_nothing_is_due(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored()
        with database.write() as transaction:
            assert outbox.next_due_seconds(transaction, "a") is None

    def test_attempts_that_were_not_accepted_are_stored(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(2)
        one = claim(database, outbox)[0]
        history = History("a", "rcpt", "deferred")
        settle(
            database,
            outbox,
            Settled(one.id, RecipientStatus.DEFERRED, 1, 450, "4.2.2 full", 0.0, history),
        )
        settle_again = claim(database, outbox)[0]
        settle(database, outbox, Settled(settle_again.id, RecipientStatus.SENT, 2, 250, "ok"))
        with database.read() as connection:
            kept = connection.execute(sa.select(attempts)).all()
        assert [(found.recipient_id, found.code, found.verdict) for found in kept] == [
            (one.id, 450, "deferred")
        ]

    def test_a_settled_recipient_is_not_settled_again(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored()
        one = claim(database, outbox)[0]
        settle(database, outbox, Settled(one.id, RecipientStatus.SENT, 1, 250, "ok"))
        settle(database, outbox, Settled(one.id, RecipientStatus.FAILED, 1, 550, "no"))
        assert row(database, one.id).status == "sent"

    def test_an_attempt_is_stored_once_when_another_process_has_settled_its_recipient(
        self, database: Database, stored: Store
    ) -> None:
        """A commit was slow, so another process took the recipients over and settled them."""
        outbox = stored(8)
        first, second, third, _ = claim(database, outbox)
        deferred = partial(
            Settled,
            status=RecipientStatus.DEFERRED,
            attempts=1,
            code=450,
            reply="later",
            delay_seconds=60.0,
            history=History("a", "rcpt", "deferred"),
        )
        settle(database, outbox, deferred(first.id))
        settle(
            database,
            outbox,
            deferred(first.id),
            Settled(second.id, RecipientStatus.SENT, 1, 250, "ok"),
            deferred(third.id),
        )
        with database.read() as connection:
            query = sa.select(attempts.c.recipient_id).order_by(attempts.c.recipient_id)
            assert connection.execute(query).scalars().all() == [first.id, third.id]
        assert row(database, second.id).status == "sent"

    def test_cancelling_affects_only_waiting_recipients(
        self, database: Database, stored: Store
    ) -> None:
        outbox = stored(8)
        first, second, *_ = claim(database, outbox)
        settle(
            database,
            outbox,
            Settled(first.id, RecipientStatus.SENT, 1, 250, "ok"),
            Settled(second.id, RecipientStatus.DEFERRED, 1, 450, "later", 60.0),
        )
        assert outbox.cancel() == 5
        counts = outbox.counts()
        assert counts.of(RecipientStatus.CANCELLED) == 5
        assert counts.of(RecipientStatus.SENT) == 1
        assert counts.is_conserved


class TestLease:
    def test_a_second_run_is_refused_and_told_the_first(
        self, database: Database, campaigns: Campaigns, stored: Store
    ) -> None:
        stored()
        leases = Leases(database)
        record = campaigns.get("spring")
        leases.acquire(record.id, "first run")
        with pytest.raises(CampaignBusyError, match="'first run'"):
            leases.acquire(record.id, "second run")
        leases.acquire(record.id, "first run")
        leases.release(record.id, "first run")
        leases.acquire(record.id, "second run")

    def test_an_expired_lease_can_be_acquired(
        self, database: Database, campaigns: Campaigns, stored: Store
    ) -> None:
        stored()
        leases = Leases(database)
        record = campaigns.get("spring")
        leases.acquire(record.id, "first run")
        with database.write() as transaction:
            transaction.execute(sa.text("UPDATE campaigns SET lease_until = 1"))
        leases.acquire(record.id, "second run")
        with pytest.raises(CampaignBusyError, match="'second run'"):
            leases.renew(record.id, "first run")

    def test_a_dead_owner_is_replaced_at_once(
        self, database: Database, campaigns: Campaigns, stored: Store
    ) -> None:
        stored()
        leases = Leases(database)
        record = campaigns.get("spring")
        leases.acquire(record.id, "first run")
        leases.acquire(record.id, "second run", dead_owner="first run")
        assert campaigns.get("spring").owner == "second run"


class TestSuppressions:
    def test_listed_addresses_are_found(self, database: Database) -> None:
        suppressions = Suppressions(database)
        emails = ["a@example.com", "b@example.com"]
        assert suppressions.find(emails) == {}
        suppressions.add(["b@example.com"], reason="bounced", source="test")
        assert {
            at: suppression.reason for at, suppression in suppressions.find(emails).items()
        } == {1: "bounced"}

    def test_adding_an_address_twice_keeps_the_first_reason(self, database: Database) -> None:
        suppressions = Suppressions(database)
        assert suppressions.add(["a@example.com"], reason="bounced", source="x") == 1
        assert suppressions.add(["a@example.com"], reason="manual", source="y") == 0
