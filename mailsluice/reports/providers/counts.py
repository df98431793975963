"""The mail of a campaign by mailbox provider and connection, in numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from operator import add, attrgetter
from typing import Self

import orjson

from mailsluice.reports.deliveries.counts import DeliveryTimes

MOST_SHOWN = 12
"""Providers that are told apart, the largest; all smaller ones are one group."""


class Measure(StrEnum):
    """What happened to a part of the mail."""

    ACCEPTED = "accepted"
    """The server that the connection leads to accepted the mail, at any attempt."""
    DEFERRED = "deferred"
    """That server deferred an attempt, whatever came later."""
    REFUSED = "refused"
    """That server refused the mail for good, or the attempts are used up."""
    DELIVERED = "delivered"
    """The mailbox provider accepted the mail, as events report."""


@dataclass(frozen=True, slots=True)
class ProviderTally:
    """Counts of recipients."""

    recipients: int = 0
    attempted: int = 0
    accepted: int = 0
    deferred: int = 0
    """Deferred at least once, whatever came later."""
    refused: int = 0
    reported: int = 0
    """Recipients with an event."""
    delivered: int = 0
    """Delivered, also when the recipient complained or unsubscribed."""
    bounced: int = 0
    complained: int = 0

    def __add__(self, other: ProviderTally) -> ProviderTally:
        return ProviderTally(*map(add, _COUNTS(self), _COUNTS(other)))

    def share(self, measure: Measure) -> float | None:
        """The part of the attempted mail, or of the accepted mail where events tell the measure.

        None where there is no such mail, or no event.
        """
        if measure is Measure.DELIVERED:
            known = self.accepted if self.reported else 0
            return min(1.0, self.delivered / known) if known else None
        number: int = getattr(self, measure.value)
        return number / self.attempted if self.attempted else None


_COUNTS = attrgetter(*(one.name for one in fields(ProviderTally)))
"""All counts of a tally. `dataclasses.astuple` takes twenty times as long."""


@dataclass(frozen=True, slots=True)
class ProviderCounts:
    """The mail of a campaign by mailbox provider; a provider None stands for all smaller ones."""

    tallies: Mapping[tuple[str | None, str], ProviderTally] = field(default_factory=dict)
    """By provider and connection."""
    times: Mapping[str | None, DeliveryTimes] = field(default_factory=dict)
    """By provider, where events report deliveries."""

    def as_json(self) -> str:
        """The counts for an archive."""
        tallies = [[*pair, asdict(tally)] for pair, tally in self.tallies.items()]
        times = [[provider, asdict(times)] for provider, times in self.times.items()]
        return orjson.dumps({"tallies": tallies, "times": times}).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The counts that `as_json` wrote."""
        kept = orjson.loads(text)
        return cls(
            {(name, over): ProviderTally(**tally) for name, over, tally in kept["tallies"]},
            {name: DeliveryTimes(**times) for name, times in kept["times"]},
        )

    def __bool__(self) -> bool:
        return bool(self.tallies)

    @property
    def providers(self) -> list[str | None]:
        """The providers, the one with most recipients first, and None last."""
        sizes: Counter[str | None] = Counter()
        for (provider, _), tally in self.tallies.items():
            sizes[provider] += tally.recipients
        return sorted(sizes, key=lambda name: (name is None, -sizes[name], name or ""))

    def of(self, provider: str | None) -> ProviderTally:
        """The tally of a provider over all connections."""
        mine = (tally for (name, _), tally in self.tallies.items() if name == provider)
        return sum(mine, ProviderTally())

    @property
    def in_all(self) -> ProviderTally:
        """The tally of all providers."""
        return sum(self.tallies.values(), ProviderTally())
