"""Identities on pages: their domains, no addresses, and warnings about DMARC."""

from __future__ import annotations

from typing import Any

import pytest

from mailsluice.campaign import Message, SenderIdentity
from mailsluice.operations.identities import (
    ConnectionIdentity,
    identity_section,
    identity_warnings,
    shown_identities,
)

MESSAGE: dict[str, Any] = {"sender": "News <news@example.com>", "subject": "Hi", "text": "Hello"}


def shown(identities: dict[str, dict[str, Any]], **message: Any) -> list[ConnectionIdentity]:
    given = {name: SenderIdentity.model_validate(one) for name, one in identities.items()}
    return shown_identities(Message(**{**MESSAGE, **message}), given, [*given])


def test_the_section_shows_what_each_connection_uses_without_addresses() -> None:
    lines = identity_section(
        shown(
            {
                "red": {},
                "green": {
                    "sender": '"ann@home.example | x" <shop@münchen.example>',
                    "reply_to": "help@b.example",
                    "return_path": "bounces@c.example",
                    "provider": "ses",
                    "headers": [{"name": "X-A", "value": "secret value"}],
                },
            },
        )
    )
    text = "\n".join(lines)
    assert "| red | News at example.com | example.com | example.com |  |  |  |" in text
    assert "| b.example | c.example | ses |  | X-A |" in text
    assert "at xn--mnchen-3ya.example" in text
    assert "@" not in text
    assert "secret value" not in text


@pytest.mark.parametrize(
    ("identity", "message", "ways"),
    [
        ({}, {}, ""),
        ({}, {"unsubscribe_url": "https://own.example"}, "own page"),
        ({"unsubscribe_url": "https://own.example"}, {}, "own page"),
        (
            {"one_click_url": "https://e.example", "unsubscribe_mailbox": "u@c.example"},
            {"unsubscribe_url": "https://own.example"},
            "one click, mail",
        ),
    ],
)
def test_the_section_shows_how_recipients_unsubscribe(
    identity: dict[str, Any], message: dict[str, Any], ways: str
) -> None:
    *_, row = filter(None, identity_section(shown({"red": identity}, **message)))
    assert row.endswith(f"| {ways} |  |")


@pytest.mark.parametrize(
    ("identity", "message", "is_warned"),
    [
        ({}, {}, False),  # the sender is the return path
        ({}, {"return_path": "b@bounces.example.com"}, False),
        ({}, {"return_path": "b@provider.example"}, True),
        ({"sender": "a@example.org"}, {"return_path": "b@example.com"}, True),
        (
            {"sender": "a@x.example.org", "return_path": "b@y.example.org"},
            {"return_path": "b@example.com"},
            False,
        ),
        ({"return_path": "b@other.co.uk"}, {"sender": "a@example.co.uk"}, True),
    ],
)
def test_a_return_path_of_another_organisation_is_a_warning_for_its_connection(
    identity: dict[str, Any], message: dict[str, Any], *, is_warned: bool
) -> None:
    identities = shown(
        {"red": {"sender": "a@b.example", "return_path": "a@b.example"}, "green": identity},
        **message,
    )
    warnings = [*identity_warnings(identities)]
    assert len(warnings) == is_warned
    if is_warned:
        assert warnings[0].startswith("green: the sender is at ")
        assert "@" not in warnings[0]


def test_connections_with_the_same_domains_share_a_warning() -> None:
    identities = shown({"red": {}, "green": {}}, return_path="b@provider.example")
    (warning,) = identity_warnings(identities)
    assert warning.startswith("red, green: the sender is at example.com and the return path at")
