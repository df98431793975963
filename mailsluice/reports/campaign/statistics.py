"""What the tables say about a campaign, counted where the rows are. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailsluice.core.status import RecipientStatus


@dataclass(frozen=True, slots=True)
class DomainOutcome:
    """How many recipients of one domain, over one connection, are in one state."""

    domain: str | None
    """None: all domains that are not among the largest."""
    connection: str
    status: RecipientStatus
    recipients: int


@dataclass(frozen=True, slots=True)
class AcceptedOverTime:
    """Messages accepted, by time."""

    start: float
    """Seconds since the epoch; a whole number of buckets."""
    bucket_seconds: int
    sent: Mapping[str, Mapping[int, int]]
    """By connection: number of the bucket to messages; empty buckets are left out."""

    @property
    def buckets(self) -> int:
        """Number of buckets from the first message to the last."""
        return 1 + max((max(one) for one in self.sent.values() if one), default=-1)

    def busiest(self, connection: str) -> int:
        """The most messages in one bucket."""
        return max(self.sent.get(connection, {}).values(), default=0)


@dataclass(frozen=True, slots=True)
class ReplyCount:
    """How often one text came for one domain over one connection."""

    domain: str | None
    """None: all domains that are not among the largest."""
    connection: str
    code: int | None
    text: str
    """As the server said it; addresses may be in it."""
    failed: int
    """Recipients that failed, or are uncertain, with it."""
    deferred: int
    """Attempts that were put off with it."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A campaign's tables at one moment, nearly: it may be sent meanwhile."""

    as_of: float
    """Seconds since the epoch, by the database's clock."""
    domains: Sequence[DomainOutcome]
    pace: AcceptedOverTime | None
    """None where nothing was sent."""
    put_off: Mapping[tuple[str | None, str], int]
    """How often a server said "later", by domain (None: all others) and connection."""
    replies: Sequence[ReplyCount]
    """The most frequent texts first."""
    other_replies: int
    """Failures and deferrals with texts that are too rare to be in `replies`."""
    bounces: Mapping[str, Mapping[str, int]]
    """By connection, then kind: hard, soft, complaint."""


_STEPS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
_DAY = 86_400
_MINUTE = 60
_FEW_MINUTES = 5 * _MINUTE
_MOST_BUCKETS = 200


def bucket_seconds(span_seconds: float) -> int:
    """The length of a bucket, such that at most about 200 cover the span.

    A minute at least, since limits are of a minute or more where it matters; seconds where it was
    all over within a few minutes.
    """
    least = 1 if span_seconds < _FEW_MINUTES else _MINUTE
    needed = span_seconds / _MOST_BUCKETS
    fitting = (one for one in _STEPS if one >= least and one >= needed)
    return next(fitting, _DAY * max(1, round(needed / _DAY + 0.5)))


def span_text(seconds: int) -> str:
    """A length of time in words: "1 minute"."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            number = seconds // size
            return f"{number} {name}" + ("s" if number > 1 else "")
    raise ValueError(f"{seconds} is no whole number of seconds")
