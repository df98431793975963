"""When a recipient that the server put off is tried again, if at all."""

from __future__ import annotations

from dataclasses import dataclass

from mailsluice.campaign.document import Retry

_MOST_DOUBLINGS = 64
"""More than any delay can take: attempts may be many."""
_FLOOR = 0.1
"""The shortest wait, as a part of `first_delay_seconds`: full jitter alone may come out at 0."""


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Try again, on the same connection."""

    delay_seconds: float


def decide(
    attempts: int, first_attempt_age_seconds: float, retry: Retry, uniform: float
) -> RetryDecision | None:
    """Decide about a recipient after its latest attempt was deferred; None: given up.

    Exponential backoff with full jitter: a random part (`uniform`, from [0, 1)) of
    `first_delay_seconds` doubled with each attempt, at most `max_delay_seconds` (Marc Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What was put off together does
    not come back together.

    `attempts` counts those made so far, the latest included; without `max_attempts` only the age
    bounds them. The last attempt may be early: it falls within `max_age_hours` of the first.
    """
    floor = _FLOOR * min(retry.first_delay_seconds, retry.max_delay_seconds)
    remaining = retry.max_age_hours * 3_600 - first_attempt_age_seconds
    are_used_up = retry.max_attempts is not None and attempts >= retry.max_attempts
    if are_used_up or remaining < floor:
        return None
    doublings = min(attempts - 1, _MOST_DOUBLINGS)
    ceiling = min(retry.max_delay_seconds, retry.first_delay_seconds * 2.0**doublings)
    return RetryDecision(min(remaining, max(floor, ceiling * uniform)))
