"""The condition that a connection waits for."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailsluice.reports.progress import Binding, Cause, ConnectionFacts, binding

NOW = 1_000.0
MOMENT = datetime(2026, 11, 24, 13, 50, tzinfo=UTC)  # a Tuesday
LIMITED = ConnectionFacts(limited_until=NOW + 900, limit="red per_hour 6,000")


def said(facts: ConnectionFacts, timezone: str = "UTC") -> str:
    return binding(facts, NOW, MOMENT).sentence(MOMENT, timezone)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        # nothing slows it down
        (ConnectionFacts(), "sends as fast as it can"),
        (
            ConnectionFacts(limited_until=NOW - 1, limit="red per_hour 6,000"),
            "sends as fast as it can",
        ),
        (ConnectionFacts(slowed_until=NOW - 1, per_second=50.0), "sends as fast as it can"),
        # the end of it
        (ConnectionFacts(is_over=True), "done"),
        (ConnectionFacts(is_over=True, is_stopping=True), "done"),
        (
            ConnectionFacts(is_over=True, may_receive=True),
            "done, and ready to take over from other connections",
        ),
        (ConnectionFacts(is_stopping=True), "stopped"),
        (ConnectionFacts(is_stopping=True, is_held=True), "held: waits for a decision"),
        (ConnectionFacts(is_stopping=True, down="login: 535 no"), "quarantined: login: 535 no"),
        # whatever else: it may not send
        (replace(LIMITED, is_on_hold=True), "paused: waits for Resume"),
        (replace(LIMITED, is_database_away=True), "the state database is away"),
        (replace(LIMITED, opens_at=NOW + 600), "waits for its sending window until 14:00 UTC"),
        # with a pool, a connection takes recipients when it can send to them
        (
            replace(LIMITED, has_pool=True, in_stock=0, due_at=math.inf),
            "held by red per_hour 6,000 until 14:05 UTC",
        ),
        (
            ConnectionFacts(has_pool=True, in_stock=0, due_at=math.inf),
            "waits for recipients from the pool",
        ),
        (
            ConnectionFacts(has_pool=True, in_stock=0, due_at=math.inf, in_flight=2),
            "waits for the last replies",
        ),
        (
            ConnectionFacts(has_pool=True, in_stock=0, due_at=NOW + 1_800),
            "waits for deferred recipients until 14:20 UTC",
        ),
        # nobody is there to send to
        (
            replace(LIMITED, in_stock=0, due_at=NOW + 1_800),
            "waits for deferred recipients until 14:20 UTC",
        ),
        (
            ConnectionFacts(in_stock=0, due_at=NOW + 1_800, waits_for_canary=True),
            "waits for the judgement of its canary until 14:20 UTC",
        ),
        (
            ConnectionFacts(
                in_stock=0, due_at=NOW + 1_800, zone="09:00 in Asia/Tokyo (2 recipients)"
            ),
            "waits for 09:00 in Asia/Tokyo (2 recipients)",
        ),
        (ConnectionFacts(in_stock=0, due_at=math.inf, in_flight=3), "waits for the last replies"),
        (
            ConnectionFacts(in_stock=0, due_at=-math.inf),
            "sends as fast as it can",
        ),  # a claim is under way
        # sessions cannot be opened
        (
            ConnectionFacts(sessions=0, session_at=NOW + 5, trouble="connect: refused"),
            "connects again until 13:50:05 UTC: connect: refused",
        ),
        (
            ConnectionFacts(
                sessions=0, session_at=NOW + 300, is_resting=True, trouble="connect: refused"
            ),
            "rests until 13:55 UTC: connect: refused",
        ),
        (
            ConnectionFacts(sessions=2, session_at=NOW + 5),
            "sends as fast as it can",
        ),  # the others go on
        (
            # the server refuses everybody: its sessions wait as well
            ConnectionFacts(
                sessions=2, session_at=NOW + 5, slowed_until=NOW + 5, trouble="mail: 450 no"
            ),
            "connects again until 13:50:05 UTC: mail: 450 no",
        ),
        (ConnectionFacts(sessions=0), "waits for a session"),
        # some mailbox providers wait, which others do not notice
        (
            ConnectionFacts(held=["Google, 2,000 an hour (the connection's)", "Yahoo, stopped"]),
            "sends as fast as it can; held: Google, 2,000 an hour (the connection's); Yahoo,"
            " stopped",
        ),
        (
            ConnectionFacts(held=["a", "b", "c", "d", "e"]),
            "sends as fast as it can; held: a; b; c; and 2 more",
        ),
        (
            ConnectionFacts(held=["Google, 2,000 an hour"], held_until=NOW + 600),
            "waits for mailbox providers until 14:00 UTC: Google, 2,000 an hour",
        ),
        # of the server's wish and the limits the later one
        (
            ConnectionFacts(slowed_until=NOW + 0.1, per_second=12.34),
            "slowed down at the server's request: 12.3/s",
        ),
        (replace(LIMITED, slowed_until=NOW + 1, per_second=1.0), said(LIMITED)),
        (
            replace(LIMITED, slowed_until=NOW + 901, per_second=0.1),
            "slowed down at the server's request until 14:05 UTC: 0.1/s",
        ),
        # a limit: where it is a pace, its next message is no news
        (LIMITED, "held by red per_hour 6,000 until 14:05 UTC"),
        (replace(LIMITED, limited_until=NOW + 5), "held by red per_hour 6,000"),
        (replace(LIMITED, limited_until=math.inf), "held by red per_hour 6,000"),
        (replace(LIMITED, sessions=0), "held by red per_hour 6,000 until 14:05 UTC"),
    ],
)
def test_the_deciding_condition_is_named(facts: ConnectionFacts, sentence: str) -> None:
    assert said(facts) == sentence


@pytest.mark.parametrize(
    ("until", "shown"),
    [
        (timedelta(seconds=90), "14:51:30 Europe/Berlin"),
        (timedelta(hours=3), "17:50 Europe/Berlin"),
        (timedelta(hours=12), "Wed 02:50 Europe/Berlin"),
        (timedelta(days=6), "Mon 14:50 Europe/Berlin"),
        (timedelta(days=8), "2026-12-02 14:50 Europe/Berlin"),
    ],
)
def test_times_are_in_the_sending_windows_time_zone(until: timedelta, shown: str) -> None:
    waits = Binding(Cause.WINDOW, until=MOMENT + until)
    assert waits.sentence(MOMENT, "Europe/Berlin") == f"waits for its sending window until {shown}"


def test_braces_in_a_servers_reply_are_left_alone() -> None:
    assert said(ConnectionFacts(down="login: 535 {until}")) == "quarantined: login: 535 {until}"


def test_addresses_in_a_servers_reply_are_hidden() -> None:
    reply = "mail: 550 <ann@example.com> is blocked"
    for facts in (
        ConnectionFacts(down=reply),
        ConnectionFacts(sessions=0, session_at=NOW + 5, trouble=reply),
    ):
        assert "<address> is blocked" in said(facts)
        assert "ann@" not in said(facts)
