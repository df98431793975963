"""Test copies: their content, and the result's page."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from mailsluice.audience.sample import Sample
from mailsluice.campaign import SenderIdentity
from mailsluice.core.errors import CampaignError
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.operations.probes.result import Probed, ProbeResult
from mailsluice.operations.send_test import Delivery, SendTestResult, checked_addresses, copies
from mailsluice.operations.verify_connection.diagnosis import Diagnosis
from tests.unit.test_assignment import campaign

ANN = Sample("ann@example.com", {"name": "Ann", "Unsubscribe URL": "https://example.com/real"})
IDENTITY = SenderIdentity()
OK = Attempt(Phase.BODY, 250, "2.0.0 queued for me@example.org")


def copies_of(message: dict[str, object], identity: SenderIdentity = IDENTITY) -> list[str]:
    document = campaign(
        routes=[{"connection": "a"}],
        message={"sender": "n@example.com", "subject": "Hi", **message},
    )
    found = copies(
        document,
        ANN,
        ["me@example.org", "you@example.org"],
        connection="a",
        identity=identity,
        occasion="1",
        now=lambda: datetime(2026, 1, 5, tzinfo=UTC),
    )
    assert [envelope.recipient_id for envelope in found] == [1, 2]
    return [
        f"{each.recipient}:"
        f" {message_from_bytes(each.content, policy=default).get_content().strip()}"
        for each in found
    ]


def test_a_copy_has_the_recipients_values_and_the_operators_address() -> None:
    assert copies_of({"text": "{{ name }}, {{ email }}"}) == [
        "me@example.org: Ann, ann@example.com",
        "you@example.org: Ann, ann@example.com",
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"unsubscribe_url": "https://example.com/u?e={{ email }}"},
        {},  # it is in a column, by its slug
    ],
)
@pytest.mark.parametrize(
    "identity",
    [
        IDENTITY,
        SenderIdentity(unsubscribe_url="https://example.com/of-the-connection"),
        SenderIdentity(
            one_click_url="https://events.example.com", unsubscribe_mailbox="u@example.com"
        ),
    ],
)
def test_a_copy_cannot_unsubscribe_the_recipient(
    message: dict[str, object], identity: SenderIdentity
) -> None:
    for text in copies_of({"text": "{{ unsubscribe_url }}", **message}, identity):
        assert text.partition(": ")[2] == "https://unsubscribe.invalid/test-copy"


def test_addresses_are_normalised_and_each_mailbox_is_kept_once() -> None:
    assert checked_addresses([" me@EXAMPLE.org", "me@example.org", "you@example.org"]) == [
        "me@example.org",
        "you@example.org",
    ]
    with pytest.raises(CampaignError, match="address 2 of 'to' is not an address") as refused:
        checked_addresses(["me@example.org", "hidden at example.org"])
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("attempt", "result", "step"),
    [
        (OK, "accepted", "Read it in the mailbox; if it is missing, look in the spam folder."),
        (
            None,
            "not sent: no room",
            "The connection's limits or sessions are used up, perhaps by a campaign: try again"
            " later.",
        ),
        (Attempt(Phase.LOGIN, 535, "5.7.8 no"), "refused", Diagnosis.LOGIN_REFUSED),
        (Attempt(Phase.TLS, None, "no", True), "not sent", Diagnosis.TLS_FAILED),
        (Attempt(Phase.CONNECT, None, "no route"), "not sent", Diagnosis.LINK_BROKE),
        (Attempt(Phase.MAIL, 550, "5.7.1 no"), "refused", Diagnosis.SENDER_NOT_ALLOWED),
        (Attempt(Phase.MAIL, 450, "4.7.1 no"), "refused", Diagnosis.TOO_MANY),
        (Attempt(Phase.RCPT, 450, "4.2.0 grey"), "refused", Diagnosis.PUT_OFF),
        (Attempt(Phase.RCPT, 550, "5.1.1 no"), "refused", Diagnosis.RECIPIENT_REFUSED),
        (Attempt(Phase.BODY, 554, "5.6.0 spam"), "refused", Diagnosis.MESSAGE_REFUSED),
        (Attempt(Phase.BODY, None, "broken"), "uncertain", Diagnosis.NOT_KNOWN),
    ],
)
def test_each_outcome_has_a_next_step(
    attempt: Attempt | None, result: str, step: str | Diagnosis
) -> None:
    ((found, _, advice),) = Delivery("a", [attempt, attempt]).rows()
    assert found == result
    assert advice == (step.next_step if isinstance(step, Diagnosis) else step)


def test_nobody_has_to_read_a_probe_mailbox() -> None:
    copies = [Probed("a", name, "", 100.0, None) for name in ("gmail", "yahoo")]
    for names, needs_reading in ((["gmail", "yahoo"], False), (["1", "gmail"], True)):
        delivery = Delivery("a", [OK, OK], names=names)
        page = SendTestResult("spring", [delivery], probes=ProbeResult(copies, 1)).markdown()
        assert ("Read it in the mailbox" in page) is needs_reading
        assert ("the table of mailboxes says where it arrived" in page) is not needs_reading
        assert "after a minute it is in no folder" in page


def test_the_page_shows_connection_reply_and_the_numbers_of_addresses() -> None:
    refused = Attempt(Phase.RCPT, 550, "5.1.1 <me@example.org> unknown | no")
    result = SendTestResult(
        "spring", [Delivery("a", [OK, refused, OK]), Delivery("b", [OK, OK, OK])]
    )
    page = result.markdown()
    assert "\n- a to 2: Try another recipient" in page  # not in the table, which would be cut off
    assert not result.is_accepted
    assert result.summary() == ("5 of 6 copies accepted; a: rcpt: 550 5.1.1 <address> unknown | no")
    assert "| a | accepted | 1, 3 | 250 2.0.0 queued for" in page
    assert r"| a | refused | 2 | rcpt: 550 5.1.1 \<address\> unknown \| no |" in page
    assert "@" not in page
