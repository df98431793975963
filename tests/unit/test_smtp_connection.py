"""The fields of a connection as programs give them, and its changes for a log."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import date
from typing import Any, cast

import pytest
from pydantic import SecretStr, ValidationError

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.campaign.throttle import ProviderThrottle
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.oauth.client import OAuth
from mailsluice.smtp.connection import Connection, Security, differences

BEFORE = Connection(
    "red", "smtp.example.com", 587, username="me", password="secret", per_minute=100
)


def test_changed_limits_are_listed_with_their_values() -> None:
    after = replace(
        BEFORE,
        max_sessions=2,
        per_minute=50,
        per_day=10_000_000,
        timeout_seconds=7.5,
        cool_down_seconds=300,
    )
    assert differences(BEFORE, after) == [
        "max_sessions 4 -> 2",
        "per_minute 100 -> 50",
        "per_day none -> 10000000",
        "timeout_seconds 60 -> 7.5",
        "cool_down_seconds none -> 300",
    ]


def test_changed_limits_by_provider_are_listed_with_their_values() -> None:
    google = ProviderThrottle(provider="google", per_hour=2_000, per_day=9_000)
    others = ProviderThrottle(provider="*", per_minute=600)
    assert differences(BEFORE, replace(BEFORE, per_provider=(google, others))) == [
        "per_provider none -> google per_hour 2,000, google per_day 9,000, * per_minute 600"
    ]


def test_other_changes_are_listed_by_name_only() -> None:
    warm_up = WarmUp(start=date(2030, 1, 1), daily_caps=(50,))
    oauth = OAuth(client_id="hidden", token_url="https://login.example.com/token")
    after = replace(BEFORE, host="other.example.com", password="x", oauth=oauth, warm_up=warm_up)
    assert differences(BEFORE, after) == [
        "host",
        "password",
        "oauth.client_id",
        "oauth.token_url",
        "warm_up",
    ]
    changed = replace(after, oauth=oauth.model_copy(update={"client_secret": SecretStr("hidden")}))
    assert differences(after, changed) == ["oauth.client_secret"]


def test_without_changes_the_list_is_empty() -> None:
    assert differences(BEFORE, replace(BEFORE)) == []


def test_limits_of_providers_may_be_mappings_and_are_checked() -> None:
    limits = ({"provider": "Google", "per_hour": 10},)
    given = Connection("red", "mail.example.com", 25, per_provider=cast("Any", limits))
    assert given.per_provider == (ProviderThrottle(provider="google", per_hour=10),)
    assert replace(given, port=26).per_provider == given.per_provider
    with pytest.raises(ValidationError, match="no mailbox provider 'gogle': did you mean google"):
        Connection(
            "red",
            "mail.example.com",
            25,
            per_provider=cast("Any", [{**limits[0], "provider": "gogle"}]),
        )


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"month_begins_on": 31}, "month_begins_on is 31: give a day from 1 to 28"),
        ({"month_begins_on": 0}, "month_begins_on is 0"),
        ({"day_begins_at": 24}, "day_begins_at is 24: give an hour from 0 to 23"),
        ({"calendar_timezone": "Mars/Crater"}, "unknown calendar_timezone 'Mars/Crater'"),
    ],
)
def test_quotas_begin_at_times_that_every_calendar_has(wrong: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        Connection("red", "mail.example.com", 25, per_month=100, **wrong)


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="per_hour of connection 'red' is 0: give 1 or more"):
        Connection("red", "mail.example.com", 25, per_hour=0)


@pytest.mark.parametrize("security", Security)
def test_an_encryption_may_be_named_by_its_word(security: Security) -> None:
    """A word that is not taken for the encryption would send the password in clear."""
    named: Any = security.value
    connection = Connection("red", "mx.example", 587, security=named)
    assert connection.security is security
    assert pickle.loads(pickle.dumps(connection)) == connection
    assert MailboxAccount("mx.example", "ann", security=named).security is security


@pytest.mark.parametrize(
    "wrong",
    [
        {"security": "TLS please"},
        {"security": None},
        {"security": True},
        {"allow_plain_password": "never"},
        {"password": 7},
        {"max_sessions": "many"},
        {"max_sessions": 0},
        {"per_provider": [{"provider": "google"}]},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        Connection("red", "mx.example", 587, **wrong)


def test_all_secrets_are_known_so_that_none_is_shown() -> None:
    oauth = OAuth(
        client_id="c",
        token_url="https://login.example.com/token",
        client_secret=SecretStr("s3cret"),
        refresh_token=SecretStr("r"),
    )
    assert replace(BEFORE, oauth=oauth).secrets() == ["secret", "s3cret", "r"]
    assert Connection("red", "mx.example", 25).secrets() == []


def test_numbers_and_limits_may_be_those_of_a_configuration_file() -> None:
    values: dict[str, Any] = {
        "port": "587",
        "allow_plain_password": "false",
        "per_provider": [{"provider": "google", "per_hour": "20"}],
    }
    connection = Connection("red", "mx.example", **values)
    assert connection.port == 587
    assert not connection.allow_plain_password
    assert connection.per_provider[0].per_hour == 20
