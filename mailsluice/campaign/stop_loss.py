"""When a campaign stops by itself: a canary goes first, and limits hold all through it. Pure."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, WithJsonSchema, model_validator

from mailsluice.core.forms import Document

_MOST_PERCENT = 50

_Limit = Annotated[
    Decimal,
    Field(ge=Decimal("0.01"), le=_MOST_PERCENT, max_digits=9, decimal_places=6),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": _MOST_PERCENT}),
]


class StopLoss(Document):
    """The highest shares of a campaign's mail that may fail.

    A mailbox provider on a connection, or the connection, sends nothing more once a share is
    clearly above its limit; then an operator decides. A limit that is left empty is not watched.
    """

    bounce_percent: _Limit | None = Field(
        None, description="Refused for good, or returned with a hard bounce. Usual: 5."
    )
    block_percent: _Limit | None = Field(
        None, description="Refused because of the sender's reputation or content. Usual: 2."
    )
    complaint_percent: _Limit | None = Field(
        None, description="Reported as spam by recipients. Usual: 0.3."
    )

    def __bool__(self) -> bool:
        return any(value is not None for value in dict(self).values())


class Approval(StrEnum):
    """How it is decided that a campaign goes on after its canary."""

    AUTO = "auto"
    """The campaign goes on by itself where no limit of the stop-loss is passed."""
    OPERATOR = "operator"
    """An operator sees the figures, and decides."""


class Canary(Document):
    """A small part of the campaign that is sent first, and judged before the rest goes out."""

    percent: _Limit | None = Field(
        None,
        description="The share of each mailbox provider on each connection that is sent first."
        " Usual: 1. Left empty, there is no canary.",
    )
    wait_minutes: int = Field(
        30,
        ge=0,
        le=10_080,
        description="How long returned mail and events are waited for before the judgement.",
    )
    approve: Approval = Field(
        Approval.AUTO,
        description="'auto' goes on where no limit of the stop-loss is passed; 'operator' asks.",
    )

    @model_validator(mode="after")
    def _has_a_share(self) -> Self:
        """Refuse settings of a canary that there is not: nobody would be asked."""
        if self.percent is None and self.approve is Approval.OPERATOR:
            raise ValueError(
                "approve is 'operator', but there is no canary to approve: fill in percent, such as"
                " 1, or remove approve"
            )
        return self

    def __bool__(self) -> bool:
        return self.percent is not None
