"""Decide whether and when a deferred recipient is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from mailsluice.core.forms import Document

_MOST_DOUBLINGS = 64
"""More doublings exceed every delay, and would overflow after many attempts."""
_FLOOR = 0.1
"""The shortest wait as a part of `first_delay_seconds`: jitter alone could result in 0."""


class Retry(Document):
    """How long and how often a recipient that the server deferred (4xx) is tried again.

    By default for five days, with waits that grow to hours (RFC 5321 section 4.5.4.1).
    """

    max_attempts: int | None = Field(
        None,
        ge=1,
        le=100,
        description="The most attempts, including the first; left empty, only the age is limited.",
    )
    max_age_hours: float = Field(
        120,
        gt=0,
        le=24 * 30,
        description="Hours after the first attempt until Mailsluice gives up.",
    )
    first_delay_seconds: float = Field(
        600,
        gt=0,
        le=86_400,
        description="The longest wait before the second attempt; it doubles with each further one.",
    )
    max_delay_seconds: float = Field(
        14_400, gt=0, le=86_400, description="The longest wait between two attempts."
    )


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Try again, on the same connection."""

    delay_seconds: float


def decide(
    attempts: int, first_attempt_age_seconds: float, retry: Retry, uniform: float
) -> RetryDecision | None:
    """Decide about a recipient whose latest attempt was deferred; None: give up.

    Exponential backoff with full jitter: a random part of `first_delay_seconds`, doubled with each
    attempt up to `max_delay_seconds` (Marc Brooker, "Exponential Backoff And Jitter", AWS
    Architecture Blog, 2015). So recipients that were deferred together are not all retried at once.
    The last attempt may be early, so that it is within `max_age_hours` of the first one.

    Args:
        attempts: Attempts so far, including the latest.
        first_attempt_age_seconds: Time since the first attempt.
        retry: The campaign's settings.
        uniform: A random number from [0, 1).
    """
    floor = _FLOOR * min(retry.first_delay_seconds, retry.max_delay_seconds)
    remaining = retry.max_age_hours * 3_600 - first_attempt_age_seconds
    are_used_up = retry.max_attempts is not None and attempts >= retry.max_attempts
    if are_used_up or remaining < floor:
        return None
    doublings = min(attempts - 1, _MOST_DOUBLINGS)
    ceiling = min(retry.max_delay_seconds, retry.first_delay_seconds * 2.0**doublings)
    return RetryDecision(min(remaining, max(floor, ceiling * uniform)))
