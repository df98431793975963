"""Rows of exported tables are read as events: columns, words, times, and ids from the content."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.exported import (
    NO_TIME,
    NOBODY,
    UNKNOWN_NAME,
    EventColumns,
    EventName,
    Meaning,
    TableReader,
    columns_among,
    moment_in,
)
from mailsluice.events.fields import Fields, UnreadableEventError

AT = datetime(2026, 7, 25, 17, 20, tzinfo=UTC).timestamp()
COLUMNS = ("event", "time", "recipient", "message_id", "token", "event_id", "reply", "status")
ROW = {"event": "delivered", "time": "2026-07-25T17:20:00Z", "recipient": "ann@example.com"}


def read(columns: tuple[str, ...] = COLUMNS, sendgrid: bool = False, **row: str) -> ProviderEvent:
    reader = TableReader({name: name for name in columns}, is_sendgrid=sendgrid)
    event = reader.event_of(Fields({**ROW, **row}))
    assert event
    return event


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["processed", "message_id", "event", "email", "reason", "timestamp", "sg_event_id"],
            {
                "event": "event",
                "time": "timestamp",
                "recipient": "email",
                "message_id": "message_id",
                "event_id": "sg_event_id",
                "reply": "reason",
            },
        ),
        (
            ["st_text", "ts", "sub", "frm", "email", "tag", "mid", "link"],
            {"event": "st_text", "time": "ts", "recipient": "email", "message_id": "mid"},
        ),
        (
            ["Event Type", "Date", "To", "Diagnostic Code", "Enhanced Status"],
            {
                "event": "Event Type",
                "time": "Date",
                "recipient": "To",
                "reply": "Diagnostic Code",
                "status": "Enhanced Status",
            },
        ),
        (
            ["event", "time", "mailsluice"],
            {"event": "event", "time": "time", "token": "mailsluice"},
        ),
    ],
)
def test_columns_are_found_by_their_usual_names(names: list[str], expected: dict[str, str]) -> None:
    assert columns_among(names, EventColumns()) == expected


def test_the_operators_columns_come_first() -> None:
    names = ["event", "what", "time", "recipient", "Adresse"]
    assert columns_among(names, EventColumns(event="what", recipient="Adresse")) == {
        "event": "what",
        "time": "time",
        "recipient": "Adresse",
    }


@pytest.mark.parametrize(
    ("names", "given", "wrong"),
    [
        (["time", "recipient"], {}, "the name of the event"),
        (["event", "recipient"], {}, "the time"),
        (["event", "time", "a secret"], {}, "whose mail it was"),
        (["event", "time", "recipient"], {"event": "what"}, "no column 'what'"),
    ],
)
def test_a_table_without_the_needed_columns_is_refused(
    names: list[str], given: dict[str, str], wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong) as refused:
        columns_among(names, EventColumns(**given))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("event", "reply", "state", "failure"),
    [
        ("Delivered", "", DeliveryState.DELIVERED, None),
        ("delay", "451 later", DeliveryState.DEFERRED, None),
        ("Hard Bounced", "", DeliveryState.BOUNCED, FailureKind.HARD),
        ("hard_bounce", "552 5.2.2 mailbox full", DeliveryState.BOUNCED, FailureKind.SOFT),
        ("soft_bounce", "550 5.1.1 no such user", DeliveryState.BOUNCED, FailureKind.SOFT),
        ("bounce", "550 5.1.1 no such user", DeliveryState.BOUNCED, FailureKind.HARD),
        ("bounce", "550 5.7.1 blocked", DeliveryState.BOUNCED, FailureKind.BLOCK),
        ("bounce", "", DeliveryState.BOUNCED, FailureKind.SOFT),  # nobody says why
        ("blocked", "", DeliveryState.DROPPED, None),
        ("SpamComplaint", "", DeliveryState.COMPLAINED, None),
        ("list_unsubscribe", "", DeliveryState.UNSUBSCRIBED, None),
    ],
)
def test_words_of_providers_have_a_meaning(
    event: str, reply: str, state: DeliveryState, failure: FailureKind | None
) -> None:
    found = read(event=event, reply=reply)
    assert (found.state, found.failure) == (state, failure)


def test_sendgrid_calls_a_block_blocked() -> None:
    assert read(sendgrid=True, event="blocked").failure is FailureKind.BLOCK


def test_the_operators_words_come_first_and_unknown_ones_are_refused() -> None:
    columns = {name: name for name in COLUMNS}
    names = [EventName(name="Zugestellt", meaning=Meaning.DELIVERED)]
    reader = TableReader(columns, names=names)
    found = reader.event_of(Fields({**ROW, "event": "ZUGESTELLT"}))
    assert found
    assert found.state is DeliveryState.DELIVERED
    with pytest.raises(UnreadableEventError, match=UNKNOWN_NAME):
        reader.event_of(Fields({**ROW, "event": "ann@example.com"}))
    assert reader.event_of(Fields({**ROW, "event": "Opened"})) is None


@pytest.mark.parametrize(
    ("text", "message_id", "provider_id"),
    [
        ("<20260725.1@example.com>", "<20260725.1@example.com>", ""),
        ("20260725.1@example.com", "<20260725.1@example.com>", ""),
        ("bdT3qim.filter0012p1las1", "", "bdT3qim"),
        ("", "", ""),
    ],
)
def test_a_message_id_and_an_id_of_the_provider_are_told_apart(
    text: str, message_id: str, provider_id: str
) -> None:
    found = read(sendgrid=True, message_id=text)
    assert (found.message_id, found.provider_id) == (message_id, provider_id)


def test_a_row_about_nobody_is_refused() -> None:
    with pytest.raises(UnreadableEventError, match=NOBODY):
        read(recipient="")


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-25T17:20:00Z",
        "2026-07-25 17:20:00 UTC",
        "2026-07-25 17:20:00 +0000 UTC",
        "2026-07-25 19:20:00 +0200",
        "2026-07-25T19:20:00",  # in the time zone of the file
        "Sat, 25 Jul 2026 17:20:00 GMT",
        "Sat, 25 Jul 2026 17:20:00 -0000",
        "Sat, 25 Jul 2026 19:20:00 +0200",
        "1785000000",
        "1785000000.0",
        "1785000000000",
    ],
)
def test_times_have_a_time_zone_or_that_of_the_file(text: str) -> None:
    assert moment_in(text, ZoneInfo("Europe/Berlin")) == AT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "25/07/2026",
        "20260725",
        "nan",
        "inf",
        "-1",
        "1e400",
        "9999-99-99",
        "Sat, 25 Jul 2026 19:20:00 CEST",
    ],
)
def test_a_time_that_could_mean_several_is_refused(text: str) -> None:
    with pytest.raises(UnreadableEventError):
        moment_in(text, ZoneInfo("UTC"))


def test_a_row_without_an_id_is_known_by_its_content() -> None:
    same = {read().key, read(recipient="ANN@Example.com").key, read(reply="250 ok").key}
    assert len(same) == 1
    others = {
        read(time="2026-07-25T17:20:01Z").key,
        read(recipient="bob@example.com").key,
        read(event="bounce").key,
        read(message_id="x").key,
    }
    assert len(same | others) == 5
    assert read(event_id="17").key == "17"


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=80)))
def test_whatever_a_row_contains_it_is_an_event_or_refused(row: dict[str, str]) -> None:
    reader = TableReader({name: name for name in COLUMNS})
    wrong, key = "", "none"
    try:
        found = reader.event_of(Fields({**ROW, **row}))
        key = found.key if found else key
    except UnreadableEventError as error:
        wrong = str(error)
    assert key
    assert wrong in ("", UNKNOWN_NAME, NOBODY, NO_TIME, "the time is not a time")
