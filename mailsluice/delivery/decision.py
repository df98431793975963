"""Decide the new state of a recipient's row after an attempt. Pure."""

from __future__ import annotations

from collections.abc import Callable

from mailsluice.campaign import Retry, UncertainPolicy, retry
from mailsluice.core.outcome import Attempt, Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.store import Claimed, History, Settled

AFTER_UNCERTAIN = {
    UncertainPolicy.HOLD: RecipientStatus.UNCERTAIN,
    UncertainPolicy.RESEND: RecipientStatus.DEFERRED,
    UncertainPolicy.ASSUME_SENT: RecipientStatus.SENT,
}


def settle(
    row: Claimed,
    attempt: Attempt,
    verdict: Verdict,
    *,
    connection: str,
    retries: Retry,
    policy: UncertainPolicy,
    chance: Callable[[], float],
    uses_attempt: bool = True,
) -> Settled:
    """The new state of a recipient after an attempt with this verdict.

    `chance` gives numbers from [0, 1), for the jitter of the next attempt. Without `uses_attempt`
    the count of attempts stays the same, and only the recipient's age limits its retries.
    """
    attempts = row.attempts + uses_attempt
    status, delay = _SIMPLE.get(verdict), None
    if status is None and verdict is Verdict.UNCERTAIN:
        status = AFTER_UNCERTAIN[policy]
        retries = _bounded(retries)
    if status is None or status is RecipientStatus.DEFERRED:
        again = retry.decide(attempts, row.age_seconds, retries, chance())
        status = RecipientStatus.DEFERRED if again else RecipientStatus.FAILED
        delay = again.delay_seconds if again else None
    return Settled(
        row.id,
        status,
        attempts,
        attempt.code,
        attempt.text,
        delay,
        None if verdict is Verdict.ACCEPTED else History(connection, attempt.phase, verdict),
    )


def _bounded(retries: Retry) -> Retry:
    """Limit how often a message is sent again that may have arrived each time."""
    most = min(retries.max_attempts or _MOST_RESENT, _MOST_RESENT)
    return retries.model_copy(update={"max_attempts": most})


_MOST_RESENT = 5
_SIMPLE = {Verdict.ACCEPTED: RecipientStatus.SENT, Verdict.FAILED: RecipientStatus.FAILED}
