"""What is asked of each provider's API, and what its pages say."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from mailsluice.campaign.identity import Provider
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.providers import brevo as pushed_brevo
from mailsluice.events.providers import mailgun as pushed_mailgun
from mailsluice.events.providers import postmark as pushed_postmark
from mailsluice.events.pulled import brevo, mailgun, postmark, sparkpost, sqs
from mailsluice.events.pulled.account import EventAccount, EventsApi
from mailsluice.events.pulled.feeds import FEEDS
from mailsluice.events.pulled.page import Feed, PageOf
from mailsluice.events.pulled.sigv4 import Credentials, signed
from mailsluice.events.pulled.windows import Cursor, Reach, Window, gap, opened
from tests.unit.events import payloads

NOW = 1_785_000_000.0  # 2026-07-25 17:20:00 UTC, 13:20 in New York
DAY = 86_400.0
API = EventsApi(key="key", domain="mg.example.com")
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
SES = {"key": "k", "access_key_id": "AKID", "queue_url": QUEUE}


def page_of(feed: Feed, page: str = "", since: float = NOW - 3_600.5, until: float = NOW) -> PageOf:
    return PageOf(API, Window(since, until), page, feed.url, until)


def test_mailgun_is_asked_for_a_window_and_then_for_the_page_that_it_names() -> None:
    first = mailgun.request(page_of(mailgun.FEED))
    assert first.path == "/v3/mg.example.com/events"
    assert first.params == {
        "begin": "1784996399.500",
        "end": "1785000000.000",
        "ascending": "yes",
        "limit": "300",
        "event": "delivered OR failed OR rejected OR complained OR unsubscribed",
    }
    assert first.headers == {"Authorization": "Basic YXBpOmtleQ=="}  # api:key
    following = "https://api.mailgun.net/v3/mg.example.com/events/W3siYSI6IGZhbHNlfV0="
    answer = {"items": [payloads.mailgun("delivered")], "paging": {"next": following}}
    page = mailgun.read(orjson.dumps(answer), page_of(mailgun.FEED))
    assert page.next == "W3siYSI6IGZhbHNlfV0="
    request = mailgun.request(page_of(mailgun.FEED, page.next))
    assert (request.path, request.params) == (
        "/v3/mg.example.com/events/W3siYSI6IGZhbHNlfV0=",
        {},
    )
    last = mailgun.read(orjson.dumps({**answer, "items": []}), page_of(mailgun.FEED, page.next))
    assert (last.next, last.batch.events) == (None, [])


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example.com/v3/mg.example.com/events/abc",  # the key would go there
        "http://api.mailgun.net/v3/mg.example.com/events/abc",  # in clear
        "https://api.mailgun.net.example.com/v3/mg.example.com/events/abc",
        "https://me@api.mailgun.net/v3/mg.example.com/events/abc",
        "https://api.mailgun.net/v3/mg.example.com/events/../../domains",
        "https://api.mailgun.net/v3/mg.example.com/events/",
        "https://api.mailgun.net/v3/other.example.com/events/abc",
        "https://api.mailgun.net/v3/mg.example.com/events/abc?limit=1",
        "https://api.mailgun.net/v3/mg.example.com/events/" + "x" * 5_000,
        "https://[mailgun/v3",
        "/v3/mg.example.com/events/abc",
    ],
)
def test_a_next_page_elsewhere_is_refused(following: str) -> None:
    answer = {"items": [payloads.mailgun("delivered")], "paging": {"next": following}}
    with pytest.raises(UnreadableEventError, match="next page"):
        mailgun.read(orjson.dumps(answer), page_of(mailgun.FEED))


def test_sparkpost_is_asked_for_a_window_and_then_by_cursor() -> None:
    request = sparkpost.request(page_of(sparkpost.FEED))
    assert request.path == "/api/v1/events/message"
    assert (request.params["from"], request.params["to"]) == (
        "2026-07-25T16:19:59Z",
        "2026-07-25T17:20:01Z",
    )
    assert request.params["cursor"] == "initial"
    assert "open" not in request.params["events"].split(",")
    assert request.headers == {"Authorization": "key"}
    answer = {
        "results": [payloads.sparkpost("delivery", timestamp="2026-07-25T17:00:00.250Z")],
        "total_count": 2,
        "links": {"next": "/api/v1/events/message?per_page=1000&cursor=WycyMDI%3D"},
    }
    page = sparkpost.read(orjson.dumps(answer), page_of(sparkpost.FEED))
    assert page.next == "WycyMDI="
    assert sparkpost.request(page_of(sparkpost.FEED, page.next)).params["cursor"] == "WycyMDI="
    assert [event.at for event in page.batch.events] == [NOW - 1_200 + 0.25]
    last = {**answer, "links": {}}
    assert sparkpost.read(orjson.dumps(last), page_of(sparkpost.FEED)).next is None


def bounce(**fields: Any) -> dict[str, Any]:
    """A bounce of Postmark's Bounce API."""
    return {
        "RecordType": "Bounce",
        "ID": 692560173,
        "Type": "HardBounce",
        "MessageID": "2c1b63fe-43f2-4db5-91b0-8bdfa44a9316",
        "Details": "smtp;550 5.1.1 no such user",
        "Email": payloads.EMAIL,
        "BouncedAt": "2026-07-25T13:10:00.6421112-04:00",
        **fields,
    }


def test_postmark_is_asked_in_eastern_time_and_by_offset() -> None:
    request = postmark.request(page_of(postmark.FEED))
    assert request.params == {
        "count": "500",
        "offset": "0",
        "fromdate": "2026-07-25T12:19:59",
        "todate": "2026-07-25T13:20:00",
    }
    assert request.headers["X-Postmark-Server-Token"] == "key"
    page = postmark.read(orjson.dumps({"Bounces": [bounce()] * 500}), page_of(postmark.FEED))
    assert postmark.request(page_of(postmark.FEED, page.next or "")).params["offset"] == "500"
    event = page.batch.events[0]
    assert (event.state, event.failure) == (DeliveryState.BOUNCED, FailureKind.HARD)
    assert event.at == pytest.approx(NOW - 600 + 0.642111)
    last = postmark.read(orjson.dumps({"Bounces": [bounce()]}), page_of(postmark.FEED))
    assert last.next is None


def test_postmark_is_asked_for_what_is_older_after_ten_thousand_bounces() -> None:
    body = orjson.dumps({"Bounces": [bounce()] * 500})
    page = postmark.read(body, page_of(postmark.FEED, f"{NOW:.0f}:9500"))
    params = postmark.request(page_of(postmark.FEED, page.next or "")).params
    assert (params["todate"], params["offset"]) == ("2026-07-25T13:10:01", "0")
    same = postmark.read(body, page_of(postmark.FEED, f"{NOW - 600 + 1:.0f}:9500"))
    assert same.next == f"{NOW - 600:.0f}:0"  # it goes on, whatever is listed


@pytest.mark.parametrize("at", [1_793_511_000.0, 1_793_514_600.0])  # 01:30, before and after
def test_the_hour_that_is_there_twice_is_asked_for_both_times(at: float) -> None:
    params = postmark.request(page_of(postmark.FEED, since=at, until=at)).params
    assert params["fromdate"] <= "2026-11-01T01:30:00" <= params["todate"]
    assert params["fromdate"] != params["todate"]


def test_brevo_is_asked_for_days_until_all_events_of_a_page_are_older_than_the_window() -> None:
    feed = brevo.FEED
    request = brevo.request(page_of(feed, since=NOW - 1.5 * DAY))
    assert request.params == {"days": "3", "limit": "2500", "offset": "0", "sort": "desc"}
    assert request.headers["api-key"] == "key"
    assert brevo.request(page_of(feed, since=NOW - 99 * DAY)).params["days"] == "90"
    one = {
        "email": payloads.EMAIL,
        "date": "2026-07-25T19:00:00.400+02:00",
        "messageId": payloads.MESSAGE_ID,
        "event": "delivered",
    }
    page = brevo.read(orjson.dumps({"events": [one] * 2_500}), page_of(feed))
    assert page.next == "2500"
    older = {**one, "date": "2026-07-25T16:00:00Z"}
    late = [older] + [one] * 2_499  # recorded hours after it happened
    assert brevo.read(orjson.dumps({"events": late}), page_of(feed)).next == "2500"
    opens = [{**older, "event": "opened"}] * 2_500
    assert brevo.read(orjson.dumps({"events": opens}), page_of(feed)).next == "2500"
    assert brevo.read(orjson.dumps({"events": [older] * 2_500}), page_of(feed)).next is None
    assert brevo.read(orjson.dumps({"events": [one]}), page_of(feed)).next is None
    assert brevo.read(b"{}", page_of(feed)).next is None


def test_events_that_are_pushed_as_well_have_the_same_key() -> None:
    item = payloads.mailgun("delivered")
    pulled = mailgun.read(orjson.dumps({"items": [item], "paging": {}}), page_of(mailgun.FEED))
    pushed = pushed_mailgun.read(orjson.dumps({"event-data": item}))
    assert pulled.batch.events == pushed.events

    pulled = postmark.read(orjson.dumps({"Bounces": [bounce()]}), page_of(postmark.FEED))
    pushed = pushed_postmark.read(orjson.dumps(bounce(Metadata={"mailsluice": payloads.TOKEN})))
    assert [event.key for event in pulled.batch.events] == [event.key for event in pushed.events]

    for name, pushed_name in {
        "delivered": "delivered",
        "hardBounces": "hard_bounce",
        "softBounces": "soft_bounce",
        "invalid": "invalid_email",
        "spam": "spam",
        "blocked": "blocked",
        "deferred": "deferred",
        "unsubscribed": "unsubscribed",
        "error": "error",
    }.items():
        one = {
            "email": payloads.EMAIL,
            "date": "2026-07-25T17:20:00.731Z",
            "messageId": payloads.MESSAGE_ID,
            "event": name,
        }
        pulled = brevo.read(orjson.dumps({"events": [one]}), page_of(brevo.FEED))
        pushed = pushed_brevo.read(orjson.dumps(payloads.brevo(pushed_name)))
        assert [event.key for event in pulled.batch.events] == [
            event.key for event in pushed.events
        ], name


@pytest.mark.parametrize("provider", list(FEEDS), ids=str)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"items": {}, "results": 1, "Bounces": "x", "events": null}',
        orjson.dumps({name: [{}] * 10_001 for name in ("items", "results", "Bounces", "events")}),
        b"[" * 100_000,
    ],
)
def test_a_page_that_is_none_is_refused(provider: Provider, body: bytes) -> None:
    feed = FEEDS[provider]
    with pytest.raises(UnreadableEventError) as caught:
        feed.read(body, page_of(feed))
    assert "@" not in str(caught.value)


def test_an_unreadable_event_hinders_no_other_of_its_page() -> None:
    answer = {"items": [{"event": "delivered"}, 7, payloads.mailgun("delivered")], "paging": {}}
    page = mailgun.read(orjson.dumps(answer), page_of(mailgun.FEED))
    assert (len(page.batch.events), page.batch.unused) == (1, {"not readable": 2})


def test_a_broken_character_hinders_no_event_of_its_page() -> None:
    item = payloads.mailgun("delivered", **{"delivery-status": {"message": "MARK"}})
    answer = orjson.dumps({"items": [item, payloads.mailgun("complained")], "paging": {}})
    for broken in (b"\\ud83d", b"\xfc"):
        page = mailgun.read(answer.replace(b"MARK", broken), page_of(mailgun.FEED))
        assert len(page.batch.events) == 2


@pytest.mark.parametrize("raw", [False, True])
def test_messages_of_a_queue_are_events_with_or_without_an_envelope(raw: bool) -> None:
    event = payloads.ses("Delivery", timestamp="2026-07-25T17:20:00Z", recipients=[payloads.EMAIL])
    text = orjson.dumps(event).decode()
    if not raw:
        text = orjson.dumps({"Type": "Notification", "TopicArn": "arn", "Message": text}).decode()
    broken = '{"eventType": "Delivery", "mail": {}, "delivery": {}}'
    messages = [
        {"ReceiptHandle": name, "Body": body}
        for name, body in [
            ("event", text),
            ("validation", "Successfully validated SNS topic for Amazon SES event publishing."),
            ("broken", broken),
        ]
    ]
    read = sqs.read(orjson.dumps({"Messages": messages}))
    assert [event.state for event in read.batch.events] == [DeliveryState.DELIVERED]
    assert read.batch.unused == {"not about delivery": 1, "not readable": 1}
    assert (read.handles, read.number) == (["event", "validation"], 3)  # the broken one stays
    assert sqs.read(b"{}").number == 0


def test_requests_to_amazon_are_signed_as_its_test_suite_has_it() -> None:
    """The case `post-vanilla` of Amazon's test suite for Signature Version 4."""
    made = signed(
        Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ("us-east-1", "service"),
        {"host": "example.amazonaws.com"},
        b"",
        1_440_938_160.0,  # 2015-08-30 12:36:00 UTC
    )
    assert made["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        " SignedHeaders=host;x-amz-date,"
        " Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    )


def test_a_session_token_is_signed_too() -> None:
    fields: dict[str, Any] = {
        "key": "secret",
        "access_key_id": "AKID",
        "session_token": "token",
        "queue_url": QUEUE,
    }
    api = EventsApi(**fields)
    request = sqs.receive(api, sqs.api_url(api), NOW)
    assert request.headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token;x-amz-target" in request.headers["authorization"]
    assert "/20260725/eu-west-1/sqs/aws4_request" in request.headers["authorization"]
    assert "secret" not in repr(request) + repr(api)


REACH = Reach(overlap_seconds=100.0, least_days=1, most_days=2)


def test_the_first_window_begins_with_the_first_campaign() -> None:
    cursor = opened(Cursor("a"), REACH, NOW, NOW - DAY)
    assert cursor.window == Window(NOW - DAY, NOW)
    far = opened(Cursor("a"), REACH, NOW, NOW - 9 * DAY)
    assert far.window == Window(NOW - 2 * DAY, NOW)


def test_windows_overlap_and_an_open_one_is_kept() -> None:
    cursor = opened(Cursor("a", settled_at=NOW - 1_000), REACH, NOW, 0.0)
    assert cursor.window == Window(NOW - 1_100, NOW)
    assert opened(cursor.after("2"), REACH, NOW + 50, 0.0) == cursor.after("2")
    done = cursor.after("2").after(None)
    assert (done.settled_at, done.window, done.page) == (NOW, None, "")


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        (Cursor("a"), None),  # nothing was promised yet
        (Cursor("a", NOW - 0.5 * DAY), None),
        (Cursor("a", NOW - 1.5 * DAY), Window(NOW - 1.5 * DAY, NOW - DAY)),
        # the first window was left open for too long
        (Cursor("a", None, Window(NOW - 3 * DAY, NOW - 2 * DAY)), Window(NOW - 3 * DAY, NOW - DAY)),
    ],
)
def test_a_gap_is_what_may_have_been_deleted_before_it_was_fetched(
    cursor: Cursor, expected: Window | None
) -> None:
    assert gap(cursor, REACH, NOW) == expected


@pytest.mark.parametrize(
    ("provider", "fields", "advice"),
    [
        ("none", {"key": "k"}, "choose the provider in the identity first"),
        ("sendgrid", {"key": "k"}, "let SendGrid push its events"),
        ("mailjet", {"key": "k"}, "let Mailjet push its events"),
        ("mailgun", {"key": "k"}, "also needs: Domain"),
        ("ses", {"key": "k"}, "also needs: Access key ID, Queue URL"),
        ("brevo", {"url": "https://api.example.com"}, "also needs: API key"),
        ("brevo", {"key": "k\nX-Other: y"}, "characters that no key has"),
        ("ses", {**SES, "access_key_id": "AK\u00c9"}, "characters that no ID has"),
        ("ses", {**SES, "session_token": "t\u00a0t"}, "characters that no token has"),
        ("brevo", {"key": "k", "url": "http://api.brevo.com"}, "no https address"),
        ("brevo", {"key": "k", "url": "https://api.brevo.com/v3"}, "no https address"),
        ("mailgun", {"key": "k", "domain": "mg.example.com/.."}, "this is no domain"),
        ("ses", {"key": "k", "queue_url": "https://sqs.example.com/1/q"}, "no URL of a queue"),
    ],
)
def test_an_account_that_cannot_work_is_refused_with_advice(
    provider: str, fields: dict[str, Any], advice: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        EventAccount("relay", Provider(provider), EventsApi(**fields))


@pytest.mark.parametrize(
    ("queue_url", "region"),
    [
        (QUEUE, "eu-west-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
        ("https://vpce-0a1b-x2.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q", "eu-west-1"),
    ],
)
def test_the_region_is_part_of_the_queues_url(queue_url: str, region: str) -> None:
    assert EventsApi(queue_url=queue_url).region == region
