"""Events are recorded once, in any order, and what they mean with them, on both databases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.campaign import Provider, UncertainPolicy
from mailsluice.core.suppression import Suppression
from mailsluice.delivery.journal import JournalContents
from mailsluice.delivery.recovery import recover
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.events.matching import (
    AMBIGUOUS,
    BY_ADDRESS,
    BY_MESSAGE_ID,
    BY_PROVIDER_ID,
    BY_TOKEN,
    FOREIGN,
    WITHOUT_TOKEN,
    match,
)
from mailsluice.store import Campaigns, Database, Outbox
from mailsluice.store.archives import Archives
from mailsluice.store.deliveries import GONE, Deliveries, Recorded
from mailsluice.store.route_providers import route_providers
from mailsluice.store.schema import (
    attempts,
    bounces,
    deliveries,
    events,
    recipients,
    suppressions,
)
from mailsluice.store.suppressions import Suppressions
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign

DEFERRED, DELIVERED, DROPPED, BOUNCED, UNSUBSCRIBED, COMPLAINED = DeliveryState
ANN, BOB = "ann@example.com", "bob@example.com"
LATER = SENT_AT + 100.0


@pytest.fixture
def sent(database: Database) -> SentCampaign:
    return SentCampaign(database, ["ann", "bob"])


def record(database: Database, *given: ProviderEvent, connection: str = "relay") -> Recorded:
    return Deliveries(database).record(connection, match(database, connection, given))


def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def listed(database: Database) -> dict[str, str]:
    return {row["email"]: row["reason"] for row in rows(database, suppressions)}


def set_status(database: Database, recipient_id: int, status: str, **fields: Any) -> None:
    with database.write() as transaction:
        transaction.execute(
            sa.update(recipients)
            .where(recipients.c.id == recipient_id)
            .values(status=status, **fields)
        )


def stored(database: Database, sent: SentCampaign, email: str) -> tuple[str, str | None]:
    (row,) = [row for row in rows(database, recipients) if row["id"] == sent.ids[email]]
    return row["status"], row["reply"]


def event(
    key: str, state: DeliveryState = DELIVERED, at: float = LATER, **fields: Any
) -> ProviderEvent:
    return ProviderEvent(key, state, at, **fields)


@pytest.mark.parametrize("status", ["sending", "pending", "deferred", "uncertain"])
def test_a_message_id_finds_a_recipient_without_a_recorded_outcome(
    status: str, database: Database, sent: SentCampaign
) -> None:
    """The event may come before the outcome is committed, or after an operator resends."""
    set_status(database, sent.ids[ANN], status, attempts=1, settled_at=None)
    recorded = record(database, event("a", email=ANN, message_id=sent.message_id(ANN)))
    assert recorded.matched_by == {BY_MESSAGE_ID: 1}
    is_settled = status != "sending"
    assert stored(database, sent, ANN)[0] == ("sent" if is_settled else "sending")
    assert recorded.settled == is_settled


def test_an_event_with_a_token_of_another_message_is_not_about_this_one(
    database: Database, sent: SentCampaign
) -> None:
    """Such as a message of another installation over the same account, or of an archive."""
    other = f"{sent.ids[ANN]}-{'0' * 32}"
    gone = f"{2**62}-{'0' * 32}"
    done = record(
        database,
        event("a", BOUNCED, email=ANN, token=other, failure=FailureKind.HARD),
        event("b", DELIVERED, email=ANN, token=gone),
    )
    assert done.unmatched == {WITHOUT_TOKEN: 1, GONE: 1}
    assert (rows(database, deliveries), listed(database)) == ([], {})


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_refused_recipient_is_sent_to_only_if_an_earlier_reply_was_lost(
    is_lost: bool, database: Database, sent: SentCampaign
) -> None:
    """The mail of the first attempt was delivered; the server refused the second one."""
    set_status(database, sent.ids[ANN], "failed", code=554, reply="5.7.1 too many copies")
    if is_lost:
        lost = {"connection": "relay", "phase": "body", "verdict": "uncertain", "reply": ""}
        with database.write() as transaction:
            transaction.execute(
                sa.insert(attempts).values(recipient_id=sent.ids[ANN], at=SENT_AT, **lost)
            )
    assert record(database, event("a", token=sent.token(ANN))).settled == is_lost
    assert stored(database, sent, ANN)[0] == ("sent" if is_lost else "failed")


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        # The server answered 4xx, and the provider says that it has sent nothing.
        (DeliveryState.DROPPED, 451, "deferred"),
        (DELIVERED, 451, "sent"),
        # The reply was lost: the provider has accepted the mail, and will send nothing.
        (DeliveryState.DROPPED, None, "sent"),
    ],
)
def test_a_recipient_that_was_put_off_is_sent_to_again_where_nothing_was_sent(
    state: DeliveryState, code: int | None, status: str, database: Database, sent: SentCampaign
) -> None:
    set_status(database, sent.ids[ANN], "deferred", code=code, attempts=1)
    record(database, event("a", state, token=sent.token(ANN)))
    assert stored(database, sent, ANN)[0] == status


def test_an_address_does_not_find_a_recipient_without_a_recorded_outcome(
    database: Database, sent: SentCampaign
) -> None:
    set_status(database, sent.ids[ANN], "pending", settled_at=None)
    assert record(database, event("a", email=ANN)).unmatched == {FOREIGN: 1}


def test_a_delivery_is_recorded_for_the_recipient_of_the_token(
    database: Database, sent: SentCampaign
) -> None:
    done = record(
        database, event("1", token=sent.token(ANN), reply="250 OK", mailbox_provider="Gmail")
    )
    assert (done.states, done.matched_by) == ({DELIVERED: 1}, {BY_TOKEN: 1})
    (row,) = rows(database, deliveries)
    assert (row["recipient_id"], row["campaign_id"]) == (sent.ids[ANN], sent.id)
    assert (row["state"], row["at"], row["delivered_at"]) == ("delivered", LATER, LATER)
    assert (row["reply"], row["mailbox_provider"]) == ("250 OK", "Gmail")


def test_an_event_counts_once(database: Database, sent: SentCampaign) -> None:
    delivered = event("1", token=sent.token(ANN))
    record(database, delivered, delivered)
    again = record(database, delivered)
    assert (again.known, again.states.total()) == (1, 0)
    assert len(rows(database, events)) == 1


def test_the_same_key_of_another_connection_is_another_event(
    database: Database, sent: SentCampaign
) -> None:
    delivered = event("1", token=sent.token(ANN))
    record(database, delivered)
    assert record(database, delivered, connection="another").states == {DELIVERED: 1}


def test_a_token_that_is_not_genuine_matches_nobody(database: Database, sent: SentCampaign) -> None:
    forged = f"{sent.ids[BOB]}-{sent.token(ANN).partition('-')[2]}"
    done = record(
        database,
        event("1", token=forged),
        event("2", token="nonsense"),
        event("3", token=f"{10**18}-{'0' * 32}"),
        event("4"),
    )
    assert (done.unmatched, rows(database, deliveries)) == ({FOREIGN: 3, GONE: 1}, [])
    assert {row["matched_by"] for row in rows(database, events)} == {FOREIGN, GONE}


def test_without_a_token_the_message_id_decides(database: Database, sent: SentCampaign) -> None:
    other = SentCampaign(database, ["ann"], campaign="summer", sent_at=SENT_AT + 10)
    found = event("1", email="Ann@Example.com", message_id=other.message_id(ANN))
    done = record(database, found)
    assert done.matched_by == {BY_MESSAGE_ID: 1}
    assert [row["recipient_id"] for row in rows(database, deliveries)] == [other.ids[ANN]]


def test_the_address_alone_counts_if_one_message_went_to_it(
    database: Database, sent: SentCampaign
) -> None:
    assert record(database, event("1", email=ANN)).matched_by == {BY_ADDRESS: 1}
    SentCampaign(database, ["ann"], campaign="summer", sent_at=SENT_AT + 10)
    assert record(database, event("2", email=ANN)).unmatched == {AMBIGUOUS: 1}
    assert record(database, event("3", email=BOB, at=SENT_AT - 9_999)).unmatched == {FOREIGN: 1}
    assert record(database, event("4", email=BOB), connection="other").unmatched == {FOREIGN: 1}


SENDGRID = "Ok: queued as bdT3qimVR7SSpBEKunexI{}"
BREVO = "2.0.0 OK: queued as <20260725.{}@smtp-relay.example>"
SES = "Ok 0100016e4ab7c399-0d0d0d0d-1a2b-3c4d-5e6f-0123456789a{}-000000"


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        (SENDGRID, {"provider_id": "bdT3qimVR7SSpBEKunexI{}"}),
        (BREVO, {"message_id": "<20260725.{}@smtp-relay.example>"}),
        (SES, {"provider_id": "0100016e4ab7c399-0d0d0d0d-1a2b-3c4d-5e6f-0123456789a{}-000000"}),
    ],
)
@pytest.mark.parametrize("email", ["", ANN])
def test_the_id_in_the_providers_reply_decides_with_an_address_or_without(
    reply: str, fields: dict[str, str], email: str, database: Database, sent: SentCampaign
) -> None:
    other = SentCampaign(database, ["ann", "bob"], campaign="summer", sent_at=SENT_AT + 10)
    replied(database, {sent.ids[ANN]: reply.format("a"), other.ids[ANN]: reply.format("b")})
    replied(database, {sent.ids[BOB]: "Great success", other.ids[BOB]: f"x{reply.format('b')}x"})

    def about(mark: str) -> ProviderEvent:
        ids: dict[str, Any] = {name: text.format(mark) for name, text in fields.items()}
        return event(mark, email=email, **ids)

    done = record(database, about("b"))
    assert done.matched_by == {BY_PROVIDER_ID: 1}
    assert [row["recipient_id"] for row in rows(database, deliveries)] == [other.ids[ANN]]
    strange = AMBIGUOUS if email else FOREIGN
    assert record(database, about("c")).unmatched == {strange: 1}
    assert record(database, about("a"), connection="green").unmatched == {FOREIGN: 1}


def test_hostile_ids_without_an_address_match_nobody(
    database: Database, sent: SentCampaign
) -> None:
    replied(database, {sent.ids[ANN]: SENDGRID.format("a")})
    ids = ["", "%", "x" * 5_000, "a", "I a", "'--", *("y" * length for length in range(1, 190))]
    done = record(database, *(event(f"{n}", provider_id=text) for n, text in enumerate(ids)))
    assert (done.states, done.unmatched) == ({}, {FOREIGN: len(ids)})


def replied(database: Database, replies: dict[int, str]) -> None:
    """Store the replies to the messages of these recipients."""
    with database.write() as writer:
        for recipient_id, reply in replies.items():
            writer.execute(
                sa.update(recipients).where(recipients.c.id == recipient_id).values(reply=reply)
            )


def test_where_messages_carry_tokens_an_address_alone_changes_nothing(
    database: Database, sent: SentCampaign
) -> None:
    """Another program sends over the same account: its complaints are not about our mail."""
    given = [
        event("1", COMPLAINED, email=ANN),
        event("2", BOUNCED, email=BOB, failure=FailureKind.HARD),
        event("3", UNSUBSCRIBED, email=ANN, token="of another program"),
        event("4", email="stranger@example.com"),
        event("5", email=BOB, message_id=sent.message_id(BOB)),
        event("6", token=sent.token(ANN)),
    ]
    received = match(database, "relay", given, have_tokens=True)
    done = Deliveries(database).record("relay", received)
    assert done.unmatched == {WITHOUT_TOKEN: 3, FOREIGN: 1}
    assert done.matched_by == {BY_MESSAGE_ID: 1, BY_TOKEN: 1}
    assert listed(database) == {}
    assert {row["state"] for row in rows(database, deliveries)} == {"delivered"}


@pytest.mark.parametrize("status", ["uncertain", "pending", "deferred", "cancelled"])
def test_an_event_settles_a_recipient_whose_reply_was_lost(
    database: Database, sent: SentCampaign, status: str
) -> None:
    set_status(database, sent.ids[ANN], status, next_attempt_at=LATER)
    done = record(database, event("1", BOUNCED, token=sent.token(ANN), failure=FailureKind.BLOCK))
    assert done.settled == 1
    assert stored(database, sent, ANN) == ("sent", "accepted, as an event of relay shows")
    (attempt,) = rows(database, attempts)
    assert (attempt["phase"], attempt["verdict"]) == ("event", "accepted")
    assert record(database, event("2", token=sent.token(ANN))).settled == 0


def test_an_event_leaves_a_refused_recipient_and_one_in_a_senders_hands(
    database: Database, sent: SentCampaign
) -> None:
    set_status(database, sent.ids[ANN], "failed", code=550)
    set_status(database, sent.ids[BOB], "sending")
    given = [event(email, token=sent.token(email)) for email in (ANN, BOB)]
    assert record(database, *given).settled == 0
    assert [stored(database, sent, email)[0] for email in (ANN, BOB)] == ["failed", "sending"]


def test_an_address_alone_does_not_settle(database: Database, sent: SentCampaign) -> None:
    set_status(database, sent.ids[ANN], "uncertain")
    assert record(database, event("1", email=ANN)).unmatched == {AMBIGUOUS: 1}
    assert stored(database, sent, ANN)[0] == "uncertain"


@pytest.mark.parametrize("policy", list(UncertainPolicy))
@pytest.mark.parametrize("evidence", [None, JournalContents("a", {}), "dot"])
def test_after_a_crash_what_an_event_has_shown_is_not_sent_again(
    database: Database, sent: SentCampaign, policy: UncertainPolicy, evidence: Any
) -> None:
    """The event came while the recipient was `sending`, before anybody missed the reply."""
    ids = [sent.ids[ANN], sent.ids[BOB]]
    for recipient_id in ids:
        set_status(database, recipient_id, "sending")
    record(database, event("1", token=sent.token(ANN)))
    if evidence == "dot":
        evidence = JournalContents("a", dict.fromkeys(ids))
    outbox = Outbox(database, sent.id)
    with database.write() as transaction:
        recover(outbox.in_doubt(transaction), evidence, policy).write(outbox, transaction)
    assert stored(database, sent, ANN)[0] == "sent"
    with database.write() as transaction:
        claimed = outbox.claim(transaction, "relay", 10)
    waits = policy is UncertainPolicy.RESEND or (evidence and not evidence.replies)
    assert [row.email for row in claimed] == ([BOB] if waits else [])


def test_a_retry_is_not_claimed_once_an_event_shows_that_the_mail_arrived(
    database: Database, sent: SentCampaign
) -> None:
    record(database, event("1", token=sent.token(ANN)))
    for email in (ANN, BOB):  # a sender decided at the same moment, and has not seen the event
        set_status(database, sent.ids[email], "deferred", next_attempt_at=SENT_AT, attempts=1)
    with database.write() as transaction:
        claimed = Outbox(database, sent.id).claim(transaction, "relay", 10)
    assert [row.email for row in claimed] == [BOB]
    assert stored(database, sent, ANN)[0] == "sent"


def test_an_event_about_an_archived_campaign_is_counted_and_its_wish_heard(
    database: Database, sent: SentCampaign
) -> None:
    """Housekeeping has written the archive, and has not deleted all rows yet."""
    Archives(database).add(sent.id, "/srv/archive/1-spring", "", {})
    done = record(database, event("1", COMPLAINED, token=sent.token(ANN)))
    assert (done.unmatched, rows(database, deliveries)) == ({GONE: 1}, [])
    assert listed(database) == {ANN: "complained"}


def test_the_time_before_an_event_does_not_depend_on_the_other_events(
    database: Database, sent: SentCampaign
) -> None:
    late = SENT_AT + 100 * 86_400
    alone = event("1", COMPLAINED, at=late, email=ANN)
    beside = event("2", at=LATER, email=BOB)
    assert record(database, alone, beside).unmatched == {FOREIGN: 1}


def test_a_wish_about_an_archived_message_counts_for_its_address(
    database: Database, sent: SentCampaign
) -> None:
    tokens = [sent.token(ANN), sent.token(BOB)]
    with database.write() as transaction:  # as housekeeping leaves the campaign
        transaction.execute(sa.delete(recipients))
    done = record(
        database,
        event("1", COMPLAINED, token=tokens[0], email="Ann@Example.com"),
        event("2", UNSUBSCRIBED, token=tokens[1], email=BOB),
        event("3", BOUNCED, token=tokens[1], email="carl@example.com", failure=FailureKind.HARD),
        event("4", COMPLAINED, email="dora@example.com"),
        event("5", COMPLAINED, token="17-short", email="emil@example.com"),
    )
    assert listed(database) == {ANN: "complained", BOB: "unsubscribed"}
    assert (done.unmatched, done.suppressed) == ({GONE: 3, FOREIGN: 2}, 2)
    assert (rows(database, bounces), rows(database, deliveries)) == ([], [])


def test_a_forged_token_of_a_stored_message_is_no_wish(
    database: Database, sent: SentCampaign
) -> None:
    forged = f"{sent.ids[BOB]}-{sent.token(ANN).partition('-')[2]}"
    record(database, event("1", COMPLAINED, token=forged, email="eve@example.com"))
    assert listed(database) == {}


@pytest.mark.parametrize("arrives", [False, True])
def test_a_soft_bounce_of_a_message_that_arrives_later_does_not_count(
    database: Database, arrives: bool
) -> None:
    for number in range(6 if arrives else 5):
        at = SENT_AT + number * 1_000
        token = SentCampaign(database, ["ann"], campaign=f"{number}", sent_at=at).token(ANN)
        soft = event(f"{number}", BOUNCED, at + 10, token=token, failure=FailureKind.SOFT)
        record(database, soft)
        if arrives and number == 2:
            record(database, event("late", at=at + 60, token=token))
    assert listed(database) == ({} if arrives else {ANN: "bounced"})


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        # An automatic reply, as far as anybody can tell.
        ({}, False),
        ({"reply": "Out of office until 24.12."}, False),
        ({"reply": "call 030 4500 or 192.0.2.450"}, False),
        # A server that returned the mail after it had accepted it.
        ({"status": "4.2.2"}, True),
        ({"reply": "452 mailbox full"}, True),
        ({"reply": "smtp;550-mailbox full"}, True),
        ({"reply": "said: 552"}, True),
    ],
)
def test_a_soft_bounce_after_a_delivery_counts_only_with_a_servers_reply(
    database: Database, fields: dict[str, str], counts: bool
) -> None:
    for number in range(5):
        at = SENT_AT + number * 1_000
        token = SentCampaign(database, ["ann"], campaign=f"{number}", sent_at=at).token(ANN)
        record(database, event(f"{number} delivered", at=at + 5, token=token))
        soft = {"token": token, "failure": FailureKind.SOFT, **fields}
        record(database, event(f"{number}", BOUNCED, at + 10, **soft))
    assert listed(database) == ({ANN: "bounced"} if counts else {})


def test_one_transaction_writes_suppressions_once(
    database: Database, sent: SentCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that write them twice, each in order, could wait for each other."""
    calls: list[Sequence[Suppression]] = []
    write = Suppressions.write

    def spied(self: Suppressions, transaction: sa.Connection, given: Sequence[Suppression]) -> int:
        calls.append(given)
        return write(self, transaction, given)

    monkeypatch.setattr(Suppressions, "write", spied)
    record(
        database,
        event("1", COMPLAINED, token=sent.token(BOB)),
        event("2", UNSUBSCRIBED, token=sent.token(ANN)),
    )
    assert [len(call) for call in calls] == [2]
    assert listed(database) == {ANN: "unsubscribed", BOB: "complained"}


def test_a_hard_bounce_and_a_complaint_suppress_and_a_block_does_not(
    database: Database, sent: SentCampaign
) -> None:
    record(database, event("1", BOUNCED, token=sent.token(BOB), failure=FailureKind.BLOCK))
    assert (listed(database), rows(database, bounces)) == ({}, [])
    done = record(
        database,
        event("2", BOUNCED, token=sent.token(BOB), failure=FailureKind.HARD, status="5.1.1"),
        event("3", COMPLAINED, token=sent.token(ANN)),
    )
    assert (done.suppressed, done.campaign_ids) == (2, {sent.id})
    assert listed(database) == {BOB: "bounced", ANN: "complained"}
    assert {row["source"] for row in rows(database, bounces)} == {"events of relay"}


def test_an_unsubscribe_suppresses(database: Database, sent: SentCampaign) -> None:
    record(database, event("1", UNSUBSCRIBED, token=sent.token(ANN)))
    assert listed(database) == {ANN: "unsubscribed"}


def test_events_about_no_message_of_ours_suppress_nobody(
    database: Database, sent: SentCampaign
) -> None:
    stranger = "stranger@example.com"
    record(database, event("1", COMPLAINED, email=stranger), event("2", UNSUBSCRIBED))
    assert listed(database) == {}


def test_any_order_and_any_repetition_end_in_the_same_rows(database: Database) -> None:
    """Three connections' worth of late, repeated and shuffled batches."""
    sent = SentCampaign(database, [f"u{number}" for number in range(40)])
    chosen = random.Random(7)
    emails = list(sent.ids)
    given = [
        event(
            f"k{number}",
            state := chosen.choice(list(DeliveryState)),
            LATER + chosen.randrange(5),
            token=sent.token(chosen.choice(emails)),
            failure=chosen.choice(list(FailureKind)) if state is BOUNCED else None,
            reply=chosen.choice(["", "a", "B", "é", "z"]),
            mailbox_provider=chosen.choice(["", "Gmail"]),
        )
        for number in range(400)
    ]
    received = match(database, "relay", given)

    def outcome(batches: Sequence[int]) -> tuple[list[Any], dict[str, str]]:
        with database.write() as transaction:
            for table in (deliveries, events, suppressions, bounces):
                transaction.execute(sa.delete(table))
        order = received * 2
        chosen.shuffle(order)
        for size in batches:
            taken, order = order[:size], order[size:]
            Deliveries(database).record("relay", taken)
        Deliveries(database).record("relay", order)
        kept = sorted(map(repr, rows(database, deliveries)))
        return kept, listed(database)

    first = outcome([])
    assert len(first[0]) == len({item.to.recipient_id for item in received if item.to})
    assert outcome([1, 10, 100]) == first
    assert outcome([300, 300]) == first


def test_old_events_are_forgotten_and_deliveries_stay(
    database: Database, sent: SentCampaign
) -> None:
    record(database, *(event(str(n), token=sent.token(ANN)) for n in range(3)))
    now = database.moment().timestamp()
    assert Deliveries(database).forget(now - 3_600) == 0
    assert [Deliveries(database).forget(now + 3_600, limit=2) for _ in range(3)] == [2, 1, 0]
    assert len(rows(database, deliveries)) == 1


def test_the_newest_campaigns_route_says_the_provider_of_its_connection(
    database: Database,
) -> None:
    def route(connection: str, provider: str | None) -> dict[str, Any]:
        identity = {} if provider is None else {"identity": {"provider": provider}}
        return {"connection": connection, **identity}

    Campaigns(database).register("old", {"routes": [route("red", "ses"), route("blue", "brevo")]})
    Campaigns(database).register("new", {"routes": [route("red", "sendgrid"), route("blue", None)]})
    Campaigns(database).register("bare", {})
    assert route_providers(database) == {"red": Provider.SENDGRID, "blue": Provider.BREVO}
