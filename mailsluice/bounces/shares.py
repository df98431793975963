"""Whether too much of a campaign came back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_BOUNCES = ("2", "5")
_COMPLAINTS = ("0.1",)
_MIN_ATTEMPTED = 50
_MIN_SENT = 1_000  # below that a single complaint would be above the threshold


@dataclass(frozen=True, slots=True)
class ReturnedCounts:
    """A campaign's mail, in numbers; all are numbers of recipients."""

    attempted: int
    """Those a server was asked about, whatever it said."""
    sent: int
    """Those whose message a server took over, whatever came back later."""
    hard: int
    """Those that have a hard bounce, in the SMTP dialogue or later."""
    complained: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A threshold that was passed."""

    complaints: bool
    """Whether it is about complaints, else about hard bounces."""
    threshold: str
    """In percent."""
    number: int
    """Of recipients that are too many."""
    total: int
    """Of how many."""

    @property
    def percent(self) -> float:
        """The share."""
        return 100 * self.number / self.total

    def __str__(self) -> str:
        what = "complaints" if self.complaints else "hard bounces"
        return (
            f"{self.number:,} {what} of {self.total:,} ({self.percent:.2f} %):"
            f" more than {self.threshold} %"
        )


def exceeded(returned: ReturnedCounts) -> Iterator[Exceeded]:
    """The thresholds that were passed.

    Hard bounces: more than 2 % and 5 % of the attempted, once there are 50. Complaints: more than
    0.1 % of the sent, once there are 1,000.
    """
    bounces = (False, _BOUNCES, returned.hard, returned.attempted, _MIN_ATTEMPTED)
    complaints = (True, _COMPLAINTS, returned.complained, returned.sent, _MIN_SENT)
    for are_complaints, thresholds, number, total, least in (bounces, complaints):
        for threshold in thresholds if total >= least else ():
            if Fraction(number, total) * 100 > Fraction(threshold):
                yield Exceeded(are_complaints, threshold, number, total)
