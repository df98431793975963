"""What an attempt does to its recipient's row."""

from __future__ import annotations

import pytest

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.core.outcome import Attempt, Phase, Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.decision import settle
from mailsluice.store import Claimed, History, Settled

RETRY = Retry(max_attempts=3, max_age_hours=1, first_delay_seconds=60, max_delay_seconds=600)
SENT, DEFERRED = RecipientStatus.SENT, RecipientStatus.DEFERRED
FAILED, UNCERTAIN = RecipientStatus.FAILED, RecipientStatus.UNCERTAIN
HOLD, RESEND, ASSUME = UncertainPolicy.HOLD, UncertainPolicy.RESEND, UncertainPolicy.ASSUME_SENT

# verdict, policy, attempts before, age in seconds, then status, delay in seconds
CASES = [
    (Verdict.ACCEPTED, HOLD, 0, 0.0, SENT, None),
    (Verdict.ACCEPTED, RESEND, 2, 9e9, SENT, None),  # however late
    (Verdict.FAILED, HOLD, 0, 0.0, FAILED, None),
    (Verdict.DEFERRED, HOLD, 0, 0.0, DEFERRED, 30.0),
    (Verdict.DEFERRED, HOLD, 1, 60.0, DEFERRED, 60.0),
    (Verdict.DEFERRED, HOLD, 2, 120.0, FAILED, None),  # the last attempt
    (Verdict.DEFERRED, HOLD, 0, 3_601.0, FAILED, None),  # too old
    (Verdict.UNCERTAIN, HOLD, 0, 0.0, UNCERTAIN, None),
    (Verdict.UNCERTAIN, HOLD, 2, 0.0, UNCERTAIN, None),
    (Verdict.UNCERTAIN, ASSUME, 0, 0.0, SENT, None),
    (Verdict.UNCERTAIN, RESEND, 0, 0.0, DEFERRED, 30.0),
    (Verdict.UNCERTAIN, RESEND, 2, 0.0, FAILED, None),  # resent, but not for ever
]


@pytest.mark.parametrize(("verdict", "policy", "before", "age", "status", "delay"), CASES)
def test_an_attempt_settles_its_row(
    verdict: Verdict,
    policy: UncertainPolicy,
    before: int,
    age: float,
    status: RecipientStatus,
    delay: float | None,
) -> None:
    settled = settle(
        Claimed(7, "ann@example.com", "{}", before, age),
        Attempt(Phase.BODY, 451, "later"),
        verdict,
        connection="red",
        retries=RETRY,
        policy=policy,
        chance=lambda: 0.5,
    )
    assert (settled.id, settled.status, settled.delay_seconds) == (7, status, delay)
    assert settled.attempts == before + 1
    assert (settled.code, settled.reply) == (451, "later")
    kept = None if verdict is Verdict.ACCEPTED else History("red", Phase.BODY, verdict)
    assert settled.history == kept


def test_a_recipient_deferred_without_an_attempt_is_bounded_by_its_age_alone() -> None:
    def put_off(age: float) -> Settled:
        return settle(
            Claimed(7, "ann@example.com", "{}", 2, age),
            Attempt(Phase.RCPT, 450, "Too many requests"),
            Verdict.DEFERRED,
            connection="red",
            retries=RETRY,
            policy=HOLD,
            chance=lambda: 0.5,
            uses_attempt=False,
        )

    assert (put_off(0.0).status, put_off(0.0).attempts) == (DEFERRED, 2)
    assert put_off(3_601.0).status is FAILED


def test_a_message_that_may_have_arrived_is_sent_five_times_at_most() -> None:
    """The bound holds whatever the retries are: an age alone would allow dozens."""
    settled = settle(
        Claimed(7, "ann@example.com", "{}", 4, 0.0),
        Attempt(Phase.BODY, None, "link lost"),
        Verdict.UNCERTAIN,
        connection="red",
        retries=Retry(),
        policy=RESEND,
        chance=lambda: 0.5,
    )
    assert settled.status is FAILED
