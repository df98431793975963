"""Each provider's events are read into the same values; what is not readable is counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.batch import ABOUT_SOMETHING_ELSE, MAX_EVENTS, UNREADABLE, Batch
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.fields import UnreadableEventError, json_of
from mailsluice.events.providers import (
    brevo,
    generic,
    mailgun,
    mailjet,
    postmark,
    sendgrid,
    ses,
    sparkpost,
)
from tests.unit.events import payloads
from tests.unit.events.payloads import AT, EMAIL, MESSAGE_ID, TOKEN, body
from tests.unit.growth import TIMES, is_in_proportion

DEFERRED, DELIVERED, DROPPED, BOUNCED, UNSUBSCRIBED, COMPLAINED = DeliveryState
HARD, SOFT, BLOCK = FailureKind
NOBODY = "550 5.1.1 The email account that you tried to reach does not exist"
FULL = "452 4.2.2 The mailbox is full"
LISTED = "554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org"

READERS: dict[str, Callable[[bytes], Batch]] = {
    "sendgrid": sendgrid.read,
    "mailgun": mailgun.read,
    "sparkpost": sparkpost.read,
    "postmark": postmark.read,
    "brevo": brevo.read,
    "mailjet": mailjet.read,
    "ses": ses.read,
    "generic": generic.read,
}
SNS_RECIPIENT = {"emailAddress": EMAIL}


def wrapped(provider: str, event: dict[str, Any]) -> bytes:
    """The body of a request with this event."""
    match provider:
        case "sendgrid" | "mailjet":
            return body([event])
        case "mailgun":
            return body({"signature": {}, "event-data": event})
        case "sparkpost":
            return body([{"msys": {"message_event": event}}])
        case "generic":
            return body({"events": [event]})
        case _:
            return body(event)


def read(provider: str, event: dict[str, Any]) -> ProviderEvent:
    """Read a request with one event."""
    (result,) = READERS[provider](wrapped(provider, event)).events
    return result


CASES: list[tuple[str, dict[str, Any], DeliveryState, FailureKind | None]] = [
    ("sendgrid", payloads.sendgrid("delivered", response="250 OK"), DELIVERED, None),
    ("sendgrid", payloads.sendgrid("deferred", response=FULL), DEFERRED, None),
    ("sendgrid", payloads.sendgrid("bounce", reason=NOBODY, type="bounce"), BOUNCED, HARD),
    # SendGrid calls it a bounce, the server's words blame the sender.
    ("sendgrid", payloads.sendgrid("bounce", reason=LISTED, type="bounce"), BOUNCED, BLOCK),
    ("sendgrid", payloads.sendgrid("bounce", reason=NOBODY, type="blocked"), BOUNCED, BLOCK),
    ("sendgrid", payloads.sendgrid("dropped", reason="Bounced Address"), DROPPED, None),
    ("sendgrid", payloads.sendgrid("spamreport"), COMPLAINED, None),
    ("sendgrid", payloads.sendgrid("unsubscribe"), UNSUBSCRIBED, None),
    ("mailgun", payloads.mailgun("delivered"), DELIVERED, None),
    ("mailgun", payloads.mailgun("complained"), COMPLAINED, None),
    ("mailgun", payloads.mailgun("unsubscribed"), UNSUBSCRIBED, None),
    ("mailgun", payloads.mailgun("rejected"), DROPPED, None),
    ("mailgun", payloads.mailgun("failed", severity="temporary"), DEFERRED, None),
    (
        "mailgun",
        payloads.mailgun(
            "failed",
            severity="permanent",
            reason="bounce",
            **{"delivery-status": {"code": 550, "message": "5.1.1 No such user"}},
        ),
        BOUNCED,
        HARD,
    ),
    (
        "mailgun",
        payloads.mailgun("failed", severity="permanent", reason="suppress-bounce"),
        DROPPED,
        None,
    ),
    ("sparkpost", payloads.sparkpost("delivery"), DELIVERED, None),
    ("sparkpost", payloads.sparkpost("delay", raw_reason=FULL), DEFERRED, None),
    (
        "sparkpost",
        payloads.sparkpost("bounce", bounce_class="10", raw_reason=NOBODY),
        BOUNCED,
        HARD,
    ),
    (
        "sparkpost",
        payloads.sparkpost("bounce", bounce_class="51", raw_reason=NOBODY),
        BOUNCED,
        BLOCK,
    ),
    ("sparkpost", payloads.sparkpost("bounce", bounce_class="22", raw_reason=FULL), BOUNCED, SOFT),
    ("sparkpost", payloads.sparkpost("bounce", bounce_class="1"), BOUNCED, SOFT),
    ("sparkpost", payloads.sparkpost("out_of_band", bounce_class="10"), BOUNCED, HARD),
    ("sparkpost", payloads.sparkpost("policy_rejection"), DROPPED, None),
    ("sparkpost", payloads.sparkpost("spam_complaint"), COMPLAINED, None),
    ("sparkpost", payloads.sparkpost("list_unsubscribe"), UNSUBSCRIBED, None),
    (
        "postmark",
        payloads.postmark("Delivery", Recipient=EMAIL, DeliveredAt="2026-07-25T17:20:00.1234567Z"),
        DELIVERED,
        None,
    ),
    (
        "postmark",
        payloads.postmark(
            "Bounce", Type="HardBounce", ID=42, Email=EMAIL, BouncedAt="2026-07-25T17:20:00Z"
        ),
        BOUNCED,
        HARD,
    ),
    (
        "postmark",
        payloads.postmark(
            "Bounce", Type="SoftBounce", ID=43, Email=EMAIL, BouncedAt="2026-07-25T17:20:00Z"
        ),
        BOUNCED,
        SOFT,
    ),
    (
        "postmark",
        payloads.postmark(
            "Bounce", Type="Blocked", ID=44, Email=EMAIL, BouncedAt="2026-07-25T17:20:00Z"
        ),
        BOUNCED,
        BLOCK,
    ),
    (
        "postmark",
        payloads.postmark(
            "Bounce", Type="Transient", ID=45, Email=EMAIL, BouncedAt="2026-07-25T17:20:00Z"
        ),
        DEFERRED,
        None,
    ),
    (
        "postmark",
        payloads.postmark("SpamComplaint", ID=46, Email=EMAIL, BouncedAt="2026-07-25T17:20:00Z"),
        COMPLAINED,
        None,
    ),
    (
        "postmark",
        payloads.postmark(
            "SubscriptionChange",
            Recipient=EMAIL,
            Origin="Recipient",
            SuppressSending=True,
            SuppressionReason="ManualSuppression",
            ChangedAt="2026-07-25T17:20:00Z",
        ),
        UNSUBSCRIBED,
        None,
    ),
    ("brevo", payloads.brevo("delivered"), DELIVERED, None),
    ("brevo", payloads.brevo("deferred", reason=FULL), DEFERRED, None),
    ("brevo", payloads.brevo("hard_bounce", reason=NOBODY), BOUNCED, HARD),
    ("brevo", payloads.brevo("hard_bounce", reason=LISTED), BOUNCED, BLOCK),
    ("brevo", payloads.brevo("soft_bounce", reason=NOBODY), BOUNCED, SOFT),
    ("brevo", payloads.brevo("invalid_email"), BOUNCED, HARD),
    ("brevo", payloads.brevo("blocked"), DROPPED, None),
    ("brevo", payloads.brevo("spam"), COMPLAINED, None),
    ("brevo", payloads.brevo("unsubscribed"), UNSUBSCRIBED, None),
    ("mailjet", payloads.mailjet("sent", smtp_reply="250 2.0.0 OK"), DELIVERED, None),
    (
        "mailjet",
        payloads.mailjet(
            "bounce", hard_bounce=True, error_related_to="recipient", error="user unknown"
        ),
        BOUNCED,
        HARD,
    ),
    (
        "mailjet",
        payloads.mailjet("bounce", hard_bounce=True, error_related_to="spam", error="blacklisted"),
        BOUNCED,
        BLOCK,
    ),
    (
        "mailjet",
        payloads.mailjet(
            "bounce", hard_bounce=False, error_related_to="recipient", error="quota exceeded"
        ),
        BOUNCED,
        SOFT,
    ),
    ("mailjet", payloads.mailjet("blocked", error="preblocked"), DROPPED, None),
    ("mailjet", payloads.mailjet("spam"), COMPLAINED, None),
    ("mailjet", payloads.mailjet("unsub"), UNSUBSCRIBED, None),
    (
        "ses",
        payloads.ses("Delivery", timestamp="2026-07-25T17:20:00Z", recipients=[EMAIL]),
        DELIVERED,
        None,
    ),
    (
        "ses",
        payloads.ses(
            "DeliveryDelay", timestamp="2026-07-25T17:20:00Z", delayedRecipients=[SNS_RECIPIENT]
        ),
        DEFERRED,
        None,
    ),
    (
        "ses",
        payloads.ses(
            "Bounce",
            bounceType="Permanent",
            bounceSubType="General",
            feedbackId="f1",
            timestamp="2026-07-25T17:20:00Z",
            bouncedRecipients=[
                {**SNS_RECIPIENT, "status": "5.1.1", "diagnosticCode": f"smtp; {NOBODY}"}
            ],
        ),
        BOUNCED,
        HARD,
    ),
    (
        "ses",
        payloads.ses(
            "Bounce",
            bounceType="Permanent",
            bounceSubType="OnAccountSuppressionList",
            feedbackId="f2",
            timestamp="2026-07-25T17:20:00Z",
            bouncedRecipients=[SNS_RECIPIENT],
        ),
        DROPPED,
        None,
    ),
    (
        "ses",
        payloads.ses(
            "Bounce",
            bounceType="Transient",
            bounceSubType="MailboxFull",
            feedbackId="f3",
            timestamp="2026-07-25T17:20:00Z",
            bouncedRecipients=[SNS_RECIPIENT],
        ),
        BOUNCED,
        SOFT,
    ),
    (
        "ses",
        payloads.ses(
            "Bounce",
            bounceType="Transient",
            bounceSubType="ContentRejected",
            feedbackId="f4",
            timestamp="2026-07-25T17:20:00Z",
            bouncedRecipients=[SNS_RECIPIENT],
        ),
        BOUNCED,
        BLOCK,
    ),
    (
        "ses",
        payloads.ses(
            "Complaint",
            feedbackId="f5",
            timestamp="2026-07-25T17:20:00Z",
            complainedRecipients=[SNS_RECIPIENT],
        ),
        COMPLAINED,
        None,
    ),
    ("ses", payloads.ses("Reject", reason="Bad content"), DROPPED, None),
    ("ses", payloads.ses("Subscription", timestamp="2026-07-25T17:20:00Z"), UNSUBSCRIBED, None),
    (
        "generic",
        {"key": "1", "state": "delivered", "at": AT, "token": TOKEN, "email": EMAIL},
        DELIVERED,
        None,
    ),
    (
        "generic",
        {"key": "1", "state": "bounced", "at": AT, "token": TOKEN, "email": EMAIL, "reply": NOBODY},
        BOUNCED,
        HARD,
    ),
]


@pytest.mark.parametrize(("provider", "event", "state", "failure"), CASES)
def test_an_event_is_read(
    provider: str, event: dict[str, Any], state: DeliveryState, failure: FailureKind | None
) -> None:
    result = read(provider, event)
    assert (result.state, result.failure) == (state, failure)
    assert result.token == TOKEN
    assert result.email == EMAIL
    assert abs(result.at - AT) < 1
    assert result.key


def mailgun_failed(reason: str, **status: Any) -> dict[str, Any]:
    """A permanent failure of Mailgun."""
    fields = {"delivery-status": status}
    return payloads.mailgun("failed", severity="permanent", reason=reason, **fields)


def ses_bounce(kind: str, **recipient: Any) -> dict[str, Any]:
    return payloads.ses(
        "Bounce",
        bounceType=kind,
        bounceSubType="General",
        feedbackId="f9",
        timestamp="2026-07-25T17:20:00Z",
        bouncedRecipients=[{**SNS_RECIPIENT, **recipient}],
    )


def ses_subtype(subtype: str, kind: str = "Permanent", **recipient: Any) -> dict[str, Any]:
    event = ses_bounce(kind, **recipient)
    event["bounce"]["bounceSubType"] = subtype
    return event


@pytest.mark.parametrize(
    ("event", "failure"),
    [
        # SES copies these fields from a delivery report, which automatic replies do not have.
        (ses_bounce("Transient", status="4.4.7"), SOFT),
        (ses_bounce("Transient", action="failed"), SOFT),
        (ses_bounce("Transient", diagnosticCode="smtp; 452 4.2.2 mailbox full"), SOFT),
        (ses_bounce("Transient", diagnosticCode=f"smtp; {NOBODY}"), SOFT),
        (ses_subtype("MailboxFull", "Transient"), SOFT),
        (ses_subtype("MessageTooLarge", "Transient"), BLOCK),
        (ses_subtype("Undetermined", "Undetermined"), SOFT),
        (ses_bounce("Permanent"), HARD),
    ],
)
def test_a_bounce_of_ses_is_no_automatic_reply(event: dict[str, Any], failure: FailureKind) -> None:
    assert (read("ses", event).state, read("ses", event).failure) == (BOUNCED, failure)


@pytest.mark.parametrize(
    ("subtype", "wish"),
    [
        ("UnsubscribedRecipient", SuppressionReason.UNSUBSCRIBED),
        ("Suppressed", None),
        ("OnAccountSuppressionList", None),
        ("OnTenantSuppressionList", None),
        ("EmailValidationSuppressed", None),
    ],
)
def test_what_ses_has_not_sent_is_dropped(subtype: str, wish: SuppressionReason | None) -> None:
    given = {"status": "5.1.1", "action": "failed", "diagnosticCode": "Amazon SES did not send"}
    result = read("ses", ses_subtype(subtype, **given))
    assert (result.state, result.failure, result.wish) == (DROPPED, None, wish)


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        # Mailgun has tried for hours; 602 is no reply of a server.
        ("mailgun", mailgun_failed("old", code=602, message="Too old")),
        ("mailgun", mailgun_failed("generic", code="602", message="Too old")),
        ("mailgun", mailgun_failed("espblock", code=554, message="Message refused")),
        ("mailgun", mailgun_failed("bounce", code=550, **{"bounce-type": "soft"})),
        ("mailgun", payloads.mailgun("failed", reason="bounce")),
        ("sendgrid", payloads.sendgrid("bounce", bounce_classification="Reputation")),
        ("sendgrid", payloads.sendgrid("bounce", type="expired", reason="Message expired")),
        ("sendgrid", payloads.sendgrid("bounce", bounce_classification="Technical Failure")),
        ("ses", ses_bounce("Transient", diagnosticCode=f"smtp; {NOBODY}")),
        ("ses", ses_bounce("Undetermined")),
        # A program that reports a bounce, and not why.
        ("generic", {"key": "1", "state": "bounced", "at": AT, "token": TOKEN}),
    ],
)
def test_a_bounce_without_proof_against_the_mailbox_is_not_hard(
    provider: str, event: dict[str, Any]
) -> None:
    result = read(provider, event)
    assert result.state is BOUNCED
    assert result.failure is not HARD


def test_the_text_that_greets_a_topic_of_sns_is_left_out() -> None:
    greeting = b"Successfully validated SNS topic for Amazon SES event publishing."
    batch = ses.read(greeting)
    assert (batch.events, batch.unused) == ([], {UNREADABLE: 1})


def test_a_message_that_the_provider_tries_again_is_deferred() -> None:
    greylisted = {"error": "greylisted", "error_related_to": "domain"}
    event = payloads.mailjet("bounce", hard_bounce=False, **greylisted)
    assert (read("mailjet", event).state, read("mailjet", event).failure) == (DEFERRED, None)


@pytest.mark.parametrize("given", [MESSAGE_ID, MESSAGE_ID.strip("<>")])
def test_a_message_id_of_brevo_has_brackets_or_not(given: str) -> None:
    assert (
        read("brevo", payloads.brevo("delivered", **{"message-id": given})).message_id == MESSAGE_ID
    )


def test_a_failure_of_mailguns_own_lists_is_no_bounce() -> None:
    for reason in ("suppress-bounce", "suppress-something-new"):
        assert read("mailgun", mailgun_failed(reason, code=605)).state is DROPPED


def test_a_bounce_of_an_unknown_kind_is_not_read() -> None:
    event = {"key": "1", "state": "bounced", "at": AT, "token": TOKEN, "failure": "temporary"}
    assert generic.read(wrapped("generic", event)).unused == {UNREADABLE: 1}
    event["failure"] = "hard"
    assert read("generic", event).failure is HARD


def preferences(topic: str, **more: Any) -> dict[str, Any]:
    """The preferences of a contact of SES."""
    status = [{"topicName": "news", "subscriptionStatus": topic}]
    return {"unsubscribeAll": False, "topicSubscriptionStatus": status, **more}


@pytest.mark.parametrize(
    ("provider", "event", "state"),
    [
        ("sendgrid", payloads.sendgrid("group_unsubscribe", asm_group_id=1), UNSUBSCRIBED),
        ("brevo", {**payloads.brevo("spam"), "message-id": None}, COMPLAINED),
        ("brevo", {**payloads.brevo("unsubscribe"), "message-id": None}, UNSUBSCRIBED),
        ("sparkpost", payloads.sparkpost("out_of_band", bounce_class="90"), UNSUBSCRIBED),
        (
            "postmark",
            payloads.postmark(
                "SubscriptionChange",
                Origin="Recipient",
                SuppressSending=True,
                SuppressionReason="SpamComplaint",
                ChangedAt="2026-07-25T17:20:00Z",
            ),
            UNSUBSCRIBED,
        ),
        # The provider of the mailbox has hidden the address.
        (
            "ses",
            payloads.ses("Complaint", complainedRecipients=[], timestamp="2026-07-25T17:20:00Z"),
            COMPLAINED,
        ),
        (
            "ses",
            payloads.ses(
                "Subscription",
                newTopicPreferences=preferences("OptIn", unsubscribeAll=True),
                oldTopicPreferences=preferences("OptIn"),
            ),
            UNSUBSCRIBED,
        ),
        (
            "ses",
            payloads.ses(
                "Subscription",
                newTopicPreferences=preferences("OptOut"),
                oldTopicPreferences=preferences("OptIn"),
            ),
            UNSUBSCRIBED,
        ),
    ],
)
def test_no_complaint_and_no_unsubscribe_is_lost(
    provider: str, event: dict[str, Any], state: DeliveryState
) -> None:
    result = read(provider, event)
    assert (result.state, result.token) == (state, TOKEN)


def test_ids_of_mailgun_are_unique_within_a_day() -> None:
    first = read("mailgun", payloads.mailgun("delivered"))
    again = read("mailgun", payloads.mailgun("delivered"))
    next_day = read(
        "mailgun", payloads.mailgun("complained", id="mg-delivered", timestamp=AT + 86_400)
    )
    assert first.key == again.key != next_day.key


@pytest.mark.parametrize("provider", ["sendgrid", "mailgun", "brevo", "ses"])
def test_our_message_id_is_read_where_the_provider_repeats_it(provider: str) -> None:
    event = next(event for name, event, *_ in CASES if name == provider)
    assert read(provider, event).message_id == MESSAGE_ID


@pytest.mark.parametrize(
    ("provider", "event", "wish"),
    [
        (
            "sendgrid",
            payloads.sendgrid("dropped", reason="Unsubscribed Address"),
            SuppressionReason.UNSUBSCRIBED,
        ),
        (
            "sendgrid",
            payloads.sendgrid("dropped", reason="Spam Reporting Address"),
            SuppressionReason.COMPLAINED,
        ),
        ("sendgrid", payloads.sendgrid("dropped", reason="Bounced Address"), None),
        (
            "mailgun",
            payloads.mailgun("failed", severity="permanent", reason="suppress-complaint"),
            SuppressionReason.COMPLAINED,
        ),
        ("brevo", payloads.brevo("unsubscribed"), SuppressionReason.UNSUBSCRIBED),
        (
            "mailjet",
            payloads.mailjet("blocked", error="spam reporter"),
            SuppressionReason.COMPLAINED,
        ),
    ],
)
def test_a_message_dropped_for_a_wish_reports_the_wish(
    provider: str, event: dict[str, Any], wish: SuppressionReason | None
) -> None:
    assert read(provider, event).wish is wish


@pytest.mark.parametrize(
    ("provider", "event"),
    [
        ("sendgrid", payloads.sendgrid("open")),
        ("sendgrid", payloads.sendgrid("group_resubscribe")),
        ("mailgun", payloads.mailgun("opened")),
        ("sparkpost", payloads.sparkpost("click")),
        ("sparkpost", payloads.sparkpost("out_of_band", bounce_class="60")),  # out of office
        ("sparkpost", payloads.sparkpost("out_of_band", bounce_class="100")),
        ("sparkpost", payloads.sparkpost("spam_complaint", fbtype="not-spam")),
        ("postmark", payloads.postmark("Open")),
        ("postmark", payloads.postmark("Bounce", Type="AutoResponder")),
        ("postmark", payloads.postmark("Bounce", Type="VirusNotification")),
        ("brevo", payloads.brevo("request")),
        ("mailjet", payloads.mailjet("click")),
        ("ses", payloads.ses("Send")),
        ("ses", ses_bounce("Transient")),  # out of office
        ("ses", ses_bounce("Transient", status=None, action="", diagnosticCode="")),
        ("ses", payloads.ses("Complaint", complaintFeedbackType="not-spam", timestamp=AT)),
        ("ses", payloads.ses("Complaint", complaintFeedbackType="auth-failure", timestamp=AT)),
        (  # the recipient subscribes again
            "ses",
            payloads.ses(
                "Subscription",
                newTopicPreferences=preferences("OptIn"),
                oldTopicPreferences=preferences("OptOut"),
            ),
        ),
    ],
)
def test_events_about_something_else_are_counted(provider: str, event: dict[str, Any]) -> None:
    batch = READERS[provider](wrapped(provider, event))
    assert (batch.events, batch.unused) == ([], {ABOUT_SOMETHING_ELSE: 1})


def test_one_bad_event_does_not_hinder_the_others() -> None:
    good = payloads.sendgrid("delivered")
    bad = [{**good, "sg_event_id": None}, {**good, "timestamp": "soon"}, 7, None, [good]]
    batch = sendgrid.read(body([good, *bad]))
    assert [event.key for event in batch.events] == ["sg-delivered"]
    assert batch.unused == {UNREADABLE: len(bad)}


BROKEN = [
    b"\\ud83d",  # the first half of a character
    b"\\uDE00",
    b"\\ude00\\ud83d",
    b"\\ud83d\\u0041",
    b"\\\\\\ud83d",  # behind an escaped backslash
    b"\xfc",  # Latin-1
    b"\xc3",  # cut off
    b"\xed\xa0\xbd",  # half a character in octets
    b"a\x00b\x1f",
    b"a\nb\tc",
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("provider", ["sendgrid", "sparkpost", "mailjet", "brevo", "generic"])
def test_a_broken_character_hinders_no_event(provider: str, broken: bytes) -> None:
    mark = "MARK"
    first, second = [event for name, event, *_ in CASES if name == provider][:2]
    keys = ("response", "smtp_reply", "raw_reason", "reason", "reply", "comment")
    given = [{**first, **dict.fromkeys(keys, f"4 {mark}")}, second]
    match provider:
        case "sparkpost":
            content = body([{"msys": {"message_event": event}} for event in given])
        case "generic":
            content = body({"events": given})
        case _:
            content = body(given)
    batch = READERS[provider](content.replace(mark.encode(), broken))
    assert [event.state for event in batch.events] == [
        event.state for event in READERS[provider](content).events
    ]
    assert (len(batch.events), batch.unused) == (2, {})
    for event in batch.events:
        event.reply.encode()  # PostgreSQL takes neither NUL nor half a character
        assert "\0" not in event.reply


@pytest.mark.parametrize("provider", ["ses", "mailgun", "postmark"])
def test_an_event_with_a_broken_character_is_read(provider: str) -> None:
    event = {**next(event for name, event, *_ in CASES if name == provider), "x": "MARK"}
    for broken in BROKEN:
        content = wrapped(provider, event).replace(b"MARK", broken)
        assert len(READERS[provider](content).events) == 1


def test_characters_in_two_halves_stay_whole() -> None:
    assert json_of(b'["\\ud83d\\ude00 \\ud83d", "\\\\ud83d\\\\"]') == [
        "\U0001f600 \ufffd",
        "\\ud83d\\",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b'[NaN, "\xfc"]',
        b'[Infinity, "\xfc"]',
        b'[1e400, "\xfc"]',
        b'["\xfc",]',
        b"['\xfc']",
        b'["\xfc"',
        b'["\xfc" /* */]',
        b'["\\x41\xfc"]',
        b'"\xfc" 1',
        b"[" * 5_000 + b'"\xfc"' + b"]" * 5_000,
        b"\xef\xbb\xbf[]",
        '["ü"]'.encode("utf-16"),
    ],
)
def test_broken_characters_open_no_other_door(content: bytes) -> None:
    with pytest.raises(UnreadableEventError, match="not JSON"):
        json_of(content)


def test_of_two_fields_of_a_name_the_last_one_counts_whatever_is_broken() -> None:
    assert json_of(b'{"a": 1, "a": 2}') == {"a": 2}
    assert json_of(b'{"a": 1, "a": 2, "b": "\xfc"}')["a"] == 2


@pytest.mark.parametrize("unit", [b"\\\\", b"\\ud83d", b"\xfc", b"\\n", b"\\u"])
def test_broken_characters_are_replaced_in_linear_time(unit: bytes) -> None:
    def parse(content: bytes) -> None:
        with contextlib.suppress(UnreadableEventError):
            json_of(content)

    def content(size: int) -> bytes:
        return b'["\xfc' + unit * (size // len(unit)) + b'"]'

    assert is_in_proportion(parse, content(1_000_000 // TIMES), content(1_000_000), 0.25)


@pytest.mark.parametrize("provider", READERS)
@pytest.mark.parametrize("content", [b"", b"no", b"[" * 100_000, b"\xff\xfe", b'"text"', b"NaN"])
def test_a_request_in_another_form_is_refused_or_has_no_events(
    provider: str, content: bytes
) -> None:
    try:
        assert READERS[provider](content).events == []
    except UnreadableEventError as error:
        assert str(error)  # noqa: PT017 both outcomes are fine


def test_a_request_with_too_many_events_is_refused() -> None:
    with pytest.raises(UnreadableEventError, match="more than 10,000 events"):
        sendgrid.read(body([1] * (MAX_EVENTS + 1)))


@pytest.mark.parametrize(
    "time", [-1, 0, 1e300, "1e400", True, {}, [], "", None, "2026-99-99", "9" * 400, "٣"]
)
def test_an_impossible_time_makes_an_event_unreadable(time: Any) -> None:
    batch = sendgrid.read(body([payloads.sendgrid("delivered", timestamp=time)]))
    expected = [3.0] if time == "٣" else []  # digits of any script are digits
    assert [event.at for event in batch.events] == expected


@pytest.mark.parametrize(
    "written", [EMAIL, f"<{EMAIL}>", f"Ann Smith <{EMAIL}>", f'"A <b>" <{EMAIL}>']
)
def test_ses_may_write_an_address_after_a_name(written: str) -> None:
    complained = [{"emailAddress": written}]
    event = payloads.ses(
        "Complaint", timestamp="2026-07-25T17:20:00Z", complainedRecipients=complained
    )
    assert read("ses", event).email == EMAIL


def test_texts_are_cut_and_printable() -> None:
    event = read("sendgrid", payloads.sendgrid("deferred", response="4\x00\n5\u202e" + "x" * 9_999))
    assert len(event.reply) <= 500
    assert event.reply.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("provider", READERS)
@given(data=st.data())
def test_any_value_in_any_field_is_read_or_counted(provider: str, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from([event for name, event, *_ in CASES if name == provider]))
    changed = {**event, **data.draw(st.dictionaries(st.sampled_from(sorted(event)), JSON))}
    batch = READERS[provider](wrapped(provider, changed))
    assert len(batch.events) + batch.unused.total() >= 1
    for result in batch.events:
        assert 0 < result.at < 1e10
        assert len(result.key) <= 600
        assert result.reply.isprintable()
