"""What an attempt does to its recipient's row."""

from __future__ import annotations

import pytest

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.outbox import Claimed, History
from mailsluice.outcome import Attempt, Phase, Verdict
from mailsluice.sending.decision import settle
from mailsluice.status import RecipientStatus

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
