"""The test mail of a connection check: its form, its message, and errors without addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from mailsluice.core.errors import MessageError
from mailsluice.operations.verify_connection import TrialMail

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_an_empty_form_sends_no_mail() -> None:
    assert not TrialMail().is_wanted
    assert not TrialMail(sender="", recipient="").is_wanted


def test_the_test_mail_is_a_proper_message() -> None:
    trial = TrialMail(sender="Jörg <news@example.com>", recipient=" Box@Bücher.example ")
    envelope = trial.envelope("send {{ grid }}", NOW)
    assert (envelope.sender, envelope.recipient) == (
        "news@example.com",
        "Box@xn--bcher-kva.example",
    )
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert message["Subject"] == "Test of connection send {{ grid }}"
    assert message["From"] == "Jörg <news@example.com>"
    assert message["Date"].datetime == NOW
    assert message["Message-ID"].endswith("@example.com>")
    assert "to test the connection send {{ grid }}, " in message.get_content()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sender": "jane@example.com"}, "add the recipient"),
        ({"recipient": "jane@example.com"}, "add the sender"),
        ({"sender": "jane", "recipient": "jane@example.com"}, "sender is not an e-mail address"),
        (
            {"sender": "jane@example.com", "recipient": "jane@"},
            "recipient is not an e-mail address",
        ),
        ({"sender": "jane@example.com", "recipient": "a@b.example, jane@example.com"}, "recipient"),
    ],
)
def test_half_a_mail_is_refused_without_repeating_an_address(
    fields: dict[str, str], reason: str
) -> None:
    with pytest.raises(MessageError, match=reason) as caught:
        TrialMail(**fields).envelope("x", NOW)
    assert "jane" not in str(caught.value)


def test_a_sender_that_no_header_can_hold_is_refused_without_repeating_it() -> None:
    trial = TrialMail(sender="jane@under_score..example", recipient="box@example.com")
    with pytest.raises(MessageError, match="sender is not an e-mail address") as caught:
        trial.envelope("x", NOW)
    assert "jane" not in str(caught.value)
