"""The kind of a refusal for its recipient."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.bounces import BounceKind, kind_of


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (550, "5.1.1", "user unknown"),
        (550, "5.1.10", "recipient address has null MX"),
        (550, "5.1.2", "bad destination system"),
        (550, "5.2.1", "mailbox disabled, not accepting messages"),
        (550, "5.1.1", "address rejected by our policy"),  # a definite status wins over words
        (550, "5.4.1", "Recipient address rejected: Access denied"),  # Microsoft: no such user
        (550, "5.5.0", "Requested action not taken: mailbox unavailable"),  # Hotmail
        (554, "", "delivery error: dd This user doesn't have a yahoo.com account"),
        (550, "", "No such user here"),
        (551, "", "rejected"),  # not local
        (550, "", "The account is closed"),
        (None, "5.1.1", ""),  # from a delivery report
        (None, "", "550 the email account that you tried to reach does not exist"),
        (556, "", "no mail service here"),
        (550, "", "User unknown in relay recipient table"),  # Postfix of old
    ],
)
def test_missing_mailboxes_are_hard(code: int | None, status: str, text: str) -> None:
    assert kind_of(code, status, text) is BounceKind.HARD


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (552, "5.2.2", "mailbox full"),
        (452, "4.2.2", "over quota"),
        (452, "", "try later"),
        (450, "", "mailbox busy"),
        (None, "4.4.7", "delivery time expired"),
        (None, "5.4.7", "delivery time expired"),
        (550, "", "The recipient's inbox is full"),
        (451, "", "user has exceeded his quota"),
        (552, "", "exceeded storage allocation"),
        (550, "", "rejected"),  # of an address, but nobody says why
        (550, "", ""),
        (553, "", "nein"),
        (550, "", "Zu viele Nachrichten"),
        (550, "", "Votre serveur est bloqué"),
        (550, "", "发送频率超过限制"),
        (550, "", "Database error, user lookup failed"),
        (550, "5.1.1", "LDAP lookup failure, user unknown"),
        (550, "5.1.1", "Recipient verification unavailable"),
        (550, "5.1.2", "Host or domain name not found: SERVFAIL"),
        (550, "5.4.4", "DNS timeout"),
        (550, "5.2.1", "The mailbox is locked"),
        (550, "5.1.1", "Too many unknown recipients from your host"),  # of others before it
        (550, "5.1.1", "too many invalid recipients"),
    ],
)
def test_passing_trouble_of_a_mailbox_is_soft(code: int | None, status: str, text: str) -> None:
    assert kind_of(code, status, text) is BounceKind.SOFT


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (550, "5.7.1", "message rejected"),  # policy
        (550, "", "Your domain does not exist"),
        (550, "", "Verification failed for the return address"),
        (550, "", "Suspected bounce attacks"),
        (550, "", "Ip frequency limited"),
        (550, "", "This message scored 12 points"),
        (550, "", "Administrative prohibition"),
        (550, "5.7.26", "unauthenticated mail from this domain is not accepted"),
        (554, "5.6.0", "bad content"),
        (552, "5.3.4", "message too big"),
        (552, "", "message size exceeds the fixed limit"),
        (550, "5.1.8", "sender's domain does not exist"),
        (550, "5.1.0", "<news@example.com>: Sender address rejected"),
        (550, "", "your address is on a blacklist"),
        (550, "", "Recipient address rejected: SPF fail"),  # it names the recipient, but blames us
        (450, "4.1.8", "sender's domain not found"),
        (450, "4.2.0", "Recipient address rejected: Greylisted"),
        (554, "", "transaction failed"),
        (None, "", "550 rejected"),  # the reply to the message, without a telling word
        (450, "4.7.1", "greylisted"),
        (None, "4.7.0", "user full"),  # policy, whatever its words
        (451, "", "greylisted, try again"),
        (450, "", "rate limit exceeded, slow down"),
        (452, "4.5.3", "too many recipients"),
        (452, "4.3.1", "the system is full"),
        (250, "2.1.5", "ok"),
        (None, "", ""),
    ],
)
def test_refusals_about_something_else_have_no_kind(
    code: int | None, status: str, text: str
) -> None:
    assert kind_of(code, status, text) is None


words = st.lists(
    st.sampled_from(["user", "unknown", "mailbox", "full", "spam", "policy", "sender", "550"])
).map(" ".join)
codes = st.none() | st.integers(200, 599)


@given(codes, st.from_regex(r"[245]\.7\.([2-9]|[1-9][0-9])", fullmatch=True), words)
def test_a_policy_status_has_no_kind_whatever_the_words(
    code: int | None, status: str, text: str
) -> None:
    assert kind_of(code, status, text) is None


@given(codes, st.from_regex(r"(4\.[0-9]\.[0-9]{1,2})?", fullmatch=True), words)
def test_a_refusal_that_is_not_permanent_is_never_hard(
    code: int | None, status: str, text: str
) -> None:
    if status or (code or 500) // 100 == 4:
        assert kind_of(code, status, text) in (None, BounceKind.SOFT)


@given(st.integers(200, 399), words)
def test_a_reply_that_is_no_failure_has_no_kind(code: int, text: str) -> None:
    assert kind_of(code, "", text) is None
