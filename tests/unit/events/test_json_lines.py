"""Lines of JSON are read in the forms of webhooks, log streams and APIs."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign.identity import Provider
from mailsluice.events.batch import MAX_EVENTS
from mailsluice.events.event import DeliveryState
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.json_lines import read_line
from tests.unit.events import payloads

MOMENT = "2026-07-25T17:20:00Z"
SES = payloads.ses("Delivery", timestamp=MOMENT, recipients=["ann@example.com"])
OWN = {"key": "1", "state": "delivered", "at": MOMENT, "email": "ann@example.com"}


@pytest.mark.parametrize(
    ("provider", "value"),
    [
        ("sendgrid", payloads.sendgrid("delivered")),
        ("sendgrid", [payloads.sendgrid("delivered")]),
        ("sparkpost", payloads.sparkpost("delivery")),
        ("sparkpost", {"msys": {"message_event": payloads.sparkpost("delivery")}}),
        ("mailgun", payloads.mailgun("delivered")),
        ("mailgun", {"signature": {}, "event-data": payloads.mailgun("delivered")}),
        ("ses", SES),
        ("ses", {"Type": "Notification", "Message": orjson.dumps(SES).decode()}),
        (
            "postmark",
            payloads.postmark("Delivery", DeliveredAt=MOMENT, Recipient="ann@example.com"),
        ),
        ("brevo", payloads.brevo("delivered")),
        ("mailjet", payloads.mailjet("sent")),
        ("none", OWN),
    ],
)
def test_each_provider_has_its_forms(provider: str, value: Any) -> None:
    batch = read_line(orjson.dumps(value), Provider(provider))
    assert [event.state for event in batch.events] == [DeliveryState.DELIVERED]
    assert not batch.unused


@pytest.mark.parametrize(
    ("provider", "value", "name"),
    [
        ("sendgrid", payloads.sendgrid("delivered"), "sg_event_id"),
        ("sparkpost", payloads.sparkpost("delivery"), "event_id"),
        ("mailgun", payloads.mailgun("delivered"), "id"),
        ("none", OWN, "key"),
    ],
)
def test_an_event_without_an_id_is_known_by_its_content(
    provider: str, value: dict[str, Any], name: str
) -> None:
    rest = {key: value[key] for key in reversed(value) if key != name}
    without = {key: rest[key] for key in reversed(rest)}
    keys = {
        read_line(orjson.dumps(one), Provider(provider)).events[0].key
        for one in (rest, without, {**without, "more": 1})
    }
    assert len(keys) == 2
    assert all("content " in key for key in keys)


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b'{"a": ' * 5_000, b"[" * 5_000])
def test_what_is_no_json_is_refused(line: bytes) -> None:
    for provider in Provider:
        with pytest.raises(UnreadableEventError):
            read_line(line, provider)


@pytest.mark.parametrize("broken", [b"\\ud83d", b"\xfc", b"a\tb"])
def test_a_broken_character_hinders_no_event_of_a_line(broken: bytes) -> None:
    given = [payloads.sendgrid("delivered", response="MARK"), payloads.sendgrid("spamreport")]
    batch = read_line(orjson.dumps(given).replace(b"MARK", broken), Provider.SENDGRID)
    assert [event.key for event in batch.events] == ["sg-delivered", "sg-spamreport"]
    del given[0]["sg_event_id"]  # then its content names it
    batch = read_line(orjson.dumps(given).replace(b"MARK", broken), Provider.SENDGRID)
    assert len(batch.events) == 2


def test_a_broken_character_hinders_no_event_in_the_wrapper_of_sns() -> None:
    message = orjson.dumps(SES).decode().replace("{", '{"x": "\\ud83d", ', 1)
    line = orjson.dumps({"Type": "Notification", "Message": message})
    assert len(read_line(line, Provider.SES).events) == 1


def test_a_line_with_too_many_events_is_refused() -> None:
    with pytest.raises(UnreadableEventError, match="more than"):
        read_line(orjson.dumps([1] * (MAX_EVENTS + 1)), Provider.SENDGRID)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["msys", "Message", "event-data", "event", "eventType", "id", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(Provider))
def test_whatever_a_line_contains_it_is_read_or_counted(value: Any, provider: Provider) -> None:
    batch = read_line(orjson.dumps(value), provider)
    assert all(event.key for event in batch.events)
