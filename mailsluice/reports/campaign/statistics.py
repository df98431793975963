"""Statistics of a campaign, as counted by the database. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.deliveries.counts import CampaignDeliveries
from mailsluice.reports.providers.counts import ProviderCounts
from mailsluice.reports.zones.counts import ZoneCounts


@dataclass(frozen=True, slots=True)
class DomainOutcome:
    """The recipients of one domain on one connection that are in one state."""

    domain: str | None
    """None stands for all domains that are not among the largest."""
    connection: str
    status: RecipientStatus
    recipients: int


@dataclass(frozen=True, slots=True)
class AcceptedOverTime:
    """Messages accepted over time."""

    start: float
    """Seconds since the epoch; a multiple of `bucket_seconds`."""
    bucket_seconds: int
    sent: Mapping[str, Mapping[int, int]]
    """Messages by connection and number of the bucket; empty buckets are left out."""
    last: float | None = None
    """When the last message was accepted, in seconds since the epoch; None: not known."""

    @property
    def buckets(self) -> int:
        """The number of buckets from the first message to the last."""
        return 1 + max((max(buckets) for buckets in self.sent.values() if buckets), default=-1)

    def busiest(self, connection: str) -> int:
        """The most messages of a connection in one bucket."""
        return max(self.sent.get(connection, {}).values(), default=0)


@dataclass(frozen=True, slots=True)
class ReplyCount:
    """How often one reply came for one group of recipients over one connection."""

    group: str | None
    """A mailbox provider, or a domain whose provider is not known. None stands for all that are not
    among the largest."""
    connection: str
    code: int | None
    text: str
    """The server's text, which may contain addresses."""
    failed: int
    """Recipients that failed or became uncertain with this reply."""
    deferred: int
    """Attempts deferred with this reply."""
    later: int = 0
    """Accepted messages that this reply bounced or deferred later, as events report."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics at nearly one moment: a run may send while they are counted."""

    as_of: float
    """Seconds since the epoch, by the database's clock."""
    domains: Sequence[DomainOutcome]
    pace: AcceptedOverTime | None
    """None when nothing was sent."""
    put_off: Mapping[tuple[str | None, str], int]
    """Deferrals by domain (None for all others) and connection."""
    replies: Sequence[ReplyCount]
    """The most frequent first."""
    other_replies: int
    """Failures and deferrals whose replies are too rare for `replies`."""
    bounces: Mapping[str, Mapping[str, int]]
    """By connection and kind: hard, soft, complaint."""
    deliveries: CampaignDeliveries = field(default_factory=CampaignDeliveries)
    providers: ProviderCounts = field(default_factory=ProviderCounts)
    """Empty where no provider is known, as for a campaign of an older version."""
    zones: Sequence[ZoneCounts] = ()
    """The recipients of each time zone, where the sending window applies in them."""
    later_replies: Sequence[ReplyCount] = ()
    """Replies to accepted mail, as events report them."""


_STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
_DAY = 86_400
_MINUTE = 60
_FEW_MINUTES = 5 * _MINUTE
_MOST_BUCKETS = 200


def bucket_seconds(span_seconds: float) -> int:
    """The length of a bucket such that about 200 buckets at most cover the span.

    A bucket lasts a minute at least, or a second at least when the span is only a few minutes.
    """
    least = 1 if span_seconds < _FEW_MINUTES else _MINUTE
    needed = span_seconds / _MOST_BUCKETS
    fitting = (step for step in _STEPS if step >= least and step >= needed)
    return next(fitting, _DAY * max(1, round(needed / _DAY + 0.5)))


def span_text(seconds: int) -> str:
    """A length of time in words, for example "1 minute"."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            number = seconds // size
            return f"{number} {name}" + ("s" if number > 1 else "")
    raise ValueError(f"{seconds} is not a whole number of seconds")
