"""The connections of a campaign, and their shares on a day. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from mailsluice.campaign.identity import SenderIdentity
from mailsluice.campaign.policies import RouteLending
from mailsluice.core.forms import OUT_OF_FORM, Document
from mailsluice.limits.apportionment import quotas

_MILLION = 1_000_000
_WHOLE = 100 * _MILLION

ConnectionName = Annotated[
    str, Field(min_length=1, max_length=200, description="The SMTP connection block.")
]
Percent = Annotated[
    Decimal,
    Field(ge=0, le=100, max_digits=9, decimal_places=6),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),  # not "number or string"
]


@dataclass(frozen=True, slots=True)
class Growth:
    """A share that grows in equal daily steps, in millionths of a percent, rounded down.

    Days are ordinals (`date.toordinal`).
    """

    start: int
    end: int
    first_day: int
    days: int

    def on(self, day: int) -> int:
        """Return the share on a day."""
        steps = min(max(day - self.first_day, 0), self.days)
        return self.start + (self.end - self.start) * steps // self.days


class Route(Document):
    """A connection of the campaign, with its share in percentage mode, which may grow."""

    connection: ConnectionName
    percent: Percent | None = Field(
        None,
        description="Share of the recipients, for the strategy 'percentage': 70, or 33.3.",
    )
    grows_to: Percent | None = Field(
        None,
        title="Grows to percent",
        description="The share at the end of its growth, in equal daily steps; the shares of the"
        " other routes shrink in proportion. A campaign has the shares of its run's scheduled day.",
    )
    grows_from: date | None = Field(
        None, title="Grows from", description="The last day with the percentage above."
    )
    grows_over_days: int | None = Field(
        None, ge=1, le=3_650, description="The number of days that the growth takes."
    )
    standby: bool = Field(
        False,
        description="Keeps the connection in reserve: no recipients are assigned to it, and it"
        " takes those of a connection that goes down. Of several, the first that works takes all.",
    )
    lend: RouteLending = Field(
        RouteLending.CAMPAIGN,
        title="May send for others",
        description="Whether this connection sends to recipients of others when it has room:"
        " 'yes', 'no', or as the campaign says.",
    )
    identity: SenderIdentity = Field(
        SenderIdentity(),
        description="Who this campaign's mail is from on this connection, where that differs from"
        " the connection's own identity.",
        json_schema_extra=OUT_OF_FORM,  # ten more fields for each route
    )

    @field_validator("lend", mode="before")
    @classmethod
    def _yes_in_yaml(cls, value: object) -> object:
        """Take true and false for yes and no, as YAML does; a form would send false unasked."""
        if isinstance(value, bool):
            return RouteLending.YES if value else RouteLending.NO
        return RouteLending.CAMPAIGN if value is None else value

    @model_validator(mode="after")
    def _growth_is_whole(self) -> Self:
        growth = ("grows_to", "grows_from", "grows_over_days")
        given = [name for name in growth if getattr(self, name) is not None]
        missing = [name for name in ("percent", *growth) if getattr(self, name) is None]
        if given and missing:
            raise ValueError(
                f"a share that grows has percent, {', '.join(growth)}: add {', '.join(missing)}"
            )
        if self.growth and self.growth.end < self.growth.start:
            raise ValueError(
                f"the share would shrink from {self.percent} to {self.grows_to}: let the shares of"
                " other connections grow instead"
            )
        return self

    @model_validator(mode="after")
    def _standby_has_no_share(self) -> Self:
        if self.standby and self.percent is not None:
            raise ValueError(
                f"connection {self.connection!r} is a standby, to which no recipients are assigned:"
                " remove its percentage, or its standby"
            )
        if self.standby and self.lend is RouteLending.YES:
            raise ValueError(
                f"connection {self.connection!r} is a standby, which sends only when another"
                " connection is down: remove its lend, or its standby"
            )
        return self

    @property
    def growth(self) -> Growth | None:
        """The growth of the share, if it grows."""
        if self.percent is None or self.grows_to is None:
            return None
        if self.grows_from is None or self.grows_over_days is None:
            return None
        start, end = int(self.percent * _MILLION), int(self.grows_to * _MILLION)
        return Growth(start, end, self.grows_from.toordinal(), self.grows_over_days)


def percents_on(routes: Sequence[Route], day: date) -> list[Decimal]:
    """Return each route's percentage on a day, to the millionth; together exactly 100.

    A growing percentage is rounded down. The other routes share the rest in proportion to their
    percentages, by largest remainder. The routes have to be those of a checked campaign.
    """
    grown = {i: route.growth.on(day.toordinal()) for i, route in enumerate(routes) if route.growth}
    rest = {i: route.percent or Decimal(0) for i, route in enumerate(routes) if i not in grown}
    if sum(rest.values()) > 0:
        left = quotas(_WHOLE - sum(grown.values()), list(rest.values()))
        grown |= zip(rest, left, strict=True)
    return [Decimal(grown.get(i, 0)) / _MILLION for i in range(len(routes))]


def refuse_overgrown(routes: Sequence[Route]) -> None:
    """Raise ValueError if growing shares together exceed 100 on a day; name the first such day.

    The routes' initial percentages have to add up to 100.
    """
    growths = [route.growth for route in routes if route.growth]
    first = min((growth.first_day for growth in growths), default=0)
    last = max((growth.first_day + growth.days for growth in growths), default=-1)
    days = range(first, last + 1)

    def total(day: int) -> int:
        return sum(growth.on(day) for growth in growths)

    over = bisect_right(days, _WHOLE, key=total)  # bisection works, since the sum only grows
    if over < len(days):
        raise ValueError(
            f"on {date.fromordinal(days[over])} the growing percentages add up to "
            f"{Decimal(total(days[over])) / _MILLION}, not 100: lower the grows_to of one of them"
        )
