"""Limits on messages in trailing windows: of a campaign, or of its mail to one mailbox provider."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from mailsluice.campaign.provider_entry import ProviderEntry, refuse_repeated
from mailsluice.core.forms import Document


class Throttle(Document):
    """The most messages in any trailing window of a length, over all connections together."""

    per_second: int | None = Field(None, ge=1, le=1_000_000, description="In any second.")
    per_minute: int | None = Field(None, ge=1, le=60_000_000, description="In any minute.")
    per_hour: int | None = Field(None, ge=1, le=1_000_000_000, description="In any hour.")
    per_day: int | None = Field(None, ge=1, le=10_000_000_000, description="In any 24 hours.")


class ProviderThrottle(Throttle, ProviderEntry):
    """The most messages to the mailboxes of one provider, in any trailing window of a length."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if all(getattr(self, name) is None for name in Throttle.model_fields):
            raise ValueError(
                f"{self.provider!r} has no limit: fill in per_second, per_minute, per_hour or"
                " per_day, or remove the entry"
            )
        return self


def _distinct(throttles: tuple[ProviderThrottle, ...]) -> tuple[ProviderThrottle, ...]:
    refuse_repeated(throttles)
    return throttles


ProviderThrottles = Annotated[
    tuple[ProviderThrottle, ...], Field(max_length=200), AfterValidator(_distinct)
]
"""At most one entry for each provider."""
