"""Identities of connections: their checks, how they combine, and where campaigns keep them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mailsluice.campaign import Campaign, Provider
from mailsluice.core.errors import MessageError
from mailsluice.operations import launch
from mailsluice.smtp.connection import Connection, differences
from mailsluice.store.content import as_json
from mailsluice.store.content import differences as content_differences
from tests.unit.test_campaign import campaign
from tests.unit.test_sender_identity import identity


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sender": "News"}, "is not an e-mail address"),
        ({"sender": "a@example.com\r\nBcc: b@example.com"}, "a mailbox is one line"),
        ({"reply_to": "a@example.com, b@example.com"}, "holds 2 addresses"),
        ({"return_path": "Bounces <b@example.com>"}, "is no return path"),
        ({"headers": [{"name": "From", "value": "x"}]}, "header From is set by Mailsluice"),
        ({"headers": [{"name": "content-TYPE", "value": "x"}]}, "header content-TYPE is set by"),
        ({"headers": [{"name": "DKIM-Signature", "value": "x"}]}, "header DKIM-Signature is set"),
        ({"headers": [{"name": "List-Unsubscribe", "value": "x"}]}, "List-Unsubscribe is set by"),
        ({"headers": [{"name": "X A", "value": "x"}]}, "is not the name of a header field"),
        ({"headers": [{"name": ".X-A", "value": "x"}]}, "let its name begin with a letter"),
        ({"headers": [{"name": "X-A:", "value": "x"}]}, "is not the name of a header field"),
        ({"headers": [{"name": "X-A", "value": "a\r\nBcc: b"}]}, "a header field has one line"),
        ({"headers": [{"name": "X-A", "value": "a" * 901}]}, "at most 900 characters"),
        ({"headers": [{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}]}, "twice"),
        ({"provider": "sendmail"}, "provider"),
        ({"configuration_set": "a b"}, "is no such name"),
        ({"provider": "ses", "message_stream": "a"}, "message_stream is for the provider"),
    ],
)
def test_a_wrong_identity_is_refused_with_what_is_wrong(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        identity(**fields)
    assert words in str(caught.value)


def test_a_route_comes_before_the_connection_field_by_field() -> None:
    own = identity(
        sender="a@example.com",
        reply_to="b@example.com",
        provider="ses",
        configuration_set="events",
        headers=[{"name": "X-A", "value": "1"}, {"name": "X-B", "value": "1"}],
    )
    route = identity(sender="c@example.com", headers=[{"name": "x-b", "value": "2"}])
    both = route.over(own)
    assert (both.sender, both.reply_to, both.provider) == (
        "c@example.com",
        "b@example.com",
        Provider.SES,
    )
    assert both.configuration_set == "events"
    assert [(one.name, one.value) for one in both.headers] == [("X-A", "1"), ("x-b", "2")]
    other = identity(provider="postmark", message_stream="news").over(own)
    assert (other.configuration_set, other.message_stream) == (None, "news")


def test_connections_with_equal_identities_share_a_compiled_message() -> None:
    shared = identity(sender="a@example.com")
    document = campaign(
        strategy="round_robin",
        routes=[{"connection": "red"}, {"connection": "green"}, {"connection": "blue"}],
    )
    connections = [
        Connection("red", "h", 25, identity=shared),
        Connection("green", "h", 25, identity=shared),
        Connection("blue", "h", 25),
        Connection("spill", "h", 25),
    ]
    messages = launch.messages(document, [], launch.identities(document, connections))
    assert messages["red"] is messages["green"]
    assert messages["blue"] is messages["spill"]
    assert messages["red"] is not messages["blue"]


def test_an_error_names_the_connection_whose_identity_is_wrong() -> None:
    document = campaign()
    wrong = identity(headers=[{"name": "X-A", "value": "{{ nothing }}"}])
    with pytest.raises(MessageError, match=r"^with the identity of 'sendgrid': header X-A, line 1"):
        launch.messages(document, [], {"sendgrid": wrong})


def test_the_identity_of_a_route_belongs_to_the_content_of_a_campaign() -> None:
    plain = campaign().content()
    assert "identity" not in plain["routes"][0]  # as campaigns are stored by earlier versions
    other = campaign(routes=[{"connection": "sendgrid", "identity": {"sender": "a@example.com"}}])
    assert as_json(campaign(routes=[{"connection": "sendgrid", "identity": {}}]).content()) == (
        as_json(plain)
    )
    assert content_differences(plain, other.content()) == ("routes[0].identity",)
    assert Campaign.model_validate(other.model_dump(mode="json")) == other


def test_the_example_of_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs" / "identities.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    document = campaign(strategy="percentage", **yaml.safe_load(example))
    launch.messages(document, ["segment"], document.identities({}))


def test_a_changed_identity_of_a_connection_is_named_without_its_addresses() -> None:
    before = Connection("red", "h", 25)
    after = Connection("red", "h", 25, identity=identity(sender="a@example.com", provider="ses"))
    assert differences(before, after) == [
        "identity.sender (from the next run on)",
        "identity.provider (from the next run on)",
    ]
