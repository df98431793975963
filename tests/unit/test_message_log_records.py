"""The records of the message log: their fields, and the examples in docs/message-log.md."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from mailsluice.core.status import RecipientStatus
from mailsluice.message.identity import message_id
from mailsluice.operations.message_log.addresses import Addresses, AddressForm
from mailsluice.operations.message_log.lines import Line
from mailsluice.operations.message_log.record_types import RecordType
from mailsluice.operations.message_log.records import Records
from mailsluice.store.message_log import (
    LoggedAttempt,
    LoggedCampaign,
    LoggedEvent,
    LoggedOutcome,
    LoggedReport,
)
from mailsluice.store.message_log.outcomes import LastAttempt
from mailsluice.store.message_log.sent_to import LoggedRecipient

PAGE = Path(__file__).parents[2] / "docs" / "message-log.md"
KEY = "2-00112233445566778899aabbccddeeff"
AT = 1_795_770_000.25
CAMPAIGN = LoggedCampaign(
    7, "spring-sale", AT - 900, AT + 50, KEY, "example.com", providers={1: "gmail"}
)
EMAIL = "ann@example.com"
TO = LoggedRecipient(1_234, 7, EMAIL, EMAIL, 1)
PLAIN = Records(Addresses(AddressForm.PLAIN, "key"))


def outcome(
    status: RecipientStatus,
    code: int | None = None,
    reply: str = "",
    last: LastAttempt | None = None,
    records: Records = PLAIN,
) -> Line | None:
    fact = LoggedOutcome(1_234, EMAIL, EMAIL, "sendgrid", status, 1, code, reply, AT, 1, None, last)
    return records.of_outcome(fact, CAMPAIGN, AT)


def attempt(
    phase: str, verdict: str, code: int | None, reply: str, records: Records = PLAIN
) -> Line:
    fact = LoggedAttempt(55, 1_234, AT, "sendgrid", phase, verdict, code, reply, 1)
    return records.of_attempt(fact, CAMPAIGN, TO)


def event(state: str, failure: str = "", status: str = "", reply: str = "") -> Line:
    fact = LoggedEvent("sendgrid", f"key-{state}", state, AT, AT + 4, 1_234, failure, status, reply)
    return PLAIN.of_event(fact, CAMPAIGN, TO)


def examples() -> dict[RecordType, Line | None]:
    """A line of each type."""
    expired = LastAttempt("rcpt", "deferred", "4.2.2 mailbox full")
    return {
        RecordType.DELIVERY: outcome(RecipientStatus.SENT, 250, "2.0.0 Ok: queued as 4F1A"),
        RecordType.TRANSIENT_FAILURE: attempt("rcpt", "deferred", 451, "4.7.1 Greylisted"),
        RecordType.BOUNCE: attempt("rcpt", "failed", 550, "5.1.1 No such user"),
        RecordType.EXPIRATION: outcome(RecipientStatus.FAILED, 452, expired.reply, expired),
        RecordType.ADMIN_BOUNCE: outcome(RecipientStatus.CANCELLED),
        RecordType.OOB: event("bounced", "hard", "5.1.1", "550 5.1.1 No such user"),
        RecordType.FEEDBACK: event("complained"),
        RecordType.UNCERTAIN: attempt("body", "uncertain", None, "the connection was lost"),
        RecordType.RESEND: attempt("operator", "resend", None, "decided by an operator"),
        RecordType.SUPPRESSION: outcome(RecipientStatus.SUPPRESSED, None, "unsubscribed: a click"),
        RecordType.PROVIDER_DELIVERY: event("delivered", reply="250 2.0.0 OK"),
        RecordType.PROVIDER_DEFERRAL: event("deferred", reply="451 4.7.0 later"),
        RecordType.PROVIDER_DROP: event("dropped", reply="Bounced Address"),
        RecordType.UNSUBSCRIBE: event("unsubscribed"),
    }  # fmt: skip


def test_each_type_has_an_example_that_is_in_the_docs() -> None:
    made = examples()
    assert set(made) == set(RecordType)
    page = PAGE.read_text(encoding="utf-8")
    for kind, line in made.items():
        assert line is not None
        assert line.type == kind.value
        assert line.text.decode() in page, line.text.decode()


def test_the_table_of_the_docs_has_every_field() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Fields")[1].split("\n## ")[0]
    for line in examples().values():
        assert line is not None
        record = orjson.loads(line.text)
        for name in (*record, *(f"meta.{name}" for name in record["meta"])):
            assert f"`{name}`" in table, name


def test_the_id_is_that_of_the_message_id() -> None:
    line = outcome(RecipientStatus.SENT, 250, "ok")
    assert line is not None
    header = message_id("spring-sale", EMAIL, "example.com", KEY)
    assert f"<{orjson.loads(line.text)['id']}@example.com>" == header


@pytest.mark.parametrize("form", [AddressForm.HASHED, AddressForm.HASHED_DOMAIN, AddressForm.NONE])
def test_no_line_names_an_address_unless_addresses_are_plain(form: AddressForm) -> None:
    records = Records(Addresses(form, "key"))
    said = "5.1.1 <ann@example.com>: unknown user Ann"
    report = LoggedReport(
        3, AT, "mail 3", EMAIL, "soft", "4.2.2", said, "box", "sendgrid", 7, 1_234
    )
    lines = [
        attempt("rcpt", "failed", 550, said, records),
        outcome(RecipientStatus.FAILED, 550, said, records=records),
        records.of_report(report, CAMPAIGN, TO),
        records.of_report(report, None, None),
    ]
    for line in lines:
        assert line is not None
        text = line.text.decode().lower()
        assert "ann@" not in text
        assert " ann" not in text
        assert ("example.com" in text) is (form is AddressForm.HASHED)


@pytest.mark.parametrize(
    ("status", "last", "kind"),
    [
        # Refused: the attempt has its own line.
        (RecipientStatus.FAILED, LastAttempt("rcpt", "failed", "text"), None),
        # The attempts are used up.
        (RecipientStatus.FAILED, LastAttempt("rcpt", "deferred", "text"), RecordType.EXPIRATION),
        # The message cannot be made, at the first attempt or at a later one.
        (RecipientStatus.FAILED, None, RecordType.BOUNCE),
        (RecipientStatus.FAILED, LastAttempt("rcpt", "deferred", "before"), RecordType.BOUNCE),
        # An operator has decided, or had it sent again before.
        (RecipientStatus.FAILED, LastAttempt("operator", "failed", "text"), None),
        (RecipientStatus.SENT, LastAttempt("operator", "sent", "text"), None),
        (RecipientStatus.FAILED, LastAttempt("operator", "resend", "text"), RecordType.BOUNCE),
        # An event shows that the message has arrived.
        (RecipientStatus.SENT, LastAttempt("event", "accepted", "text"), None),
        # Nobody knows, and the campaign counts such messages as sent.
        (RecipientStatus.SENT, LastAttempt("body", "uncertain", "text"), RecordType.DELIVERY),
    ],
)  # fmt: skip
def test_an_outcome_has_a_line_unless_an_attempt_has_told_it(
    status: RecipientStatus, last: LastAttempt | None, kind: RecordType | None
) -> None:
    line = outcome(status, None, "text", last)
    assert (line.type if line else None) == (kind.value if kind else None)


def test_a_campaign_without_a_key_has_ids_that_tell_no_address() -> None:
    campaign = LoggedCampaign(7, "old", AT, None, None, "example.com")
    line = PLAIN.of_attempt(LoggedAttempt(1, 2, AT, "a", "rcpt", "failed", 550, "no"), campaign, TO)
    assert orjson.loads(line.text)["id"] == "7-1234"


def test_a_provider_may_report_any_time() -> None:
    for at in (-1e18, 1e18):
        fact = LoggedEvent("a", "k", "delivered", at, AT, 1, "", "", "")
        assert orjson.loads(PLAIN.of_event(fact, None, None).text)["meta"]["time"]
