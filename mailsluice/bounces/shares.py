"""Compare a campaign's shares of bounces and complaints with thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_BOUNCES = ("2", "5")
_COMPLAINTS = ("0.1",)
_MIN_ATTEMPTED = 50
_MIN_SENT = 1_000  # with fewer recipients, a single complaint would exceed the threshold


@dataclass(frozen=True, slots=True)
class ReturnedCounts:
    """Numbers of a campaign's recipients."""

    attempted: int
    """Recipients about which a server has replied."""
    sent: int
    """Recipients whose message a server accepted, whatever came back later."""
    hard: int
    """Recipients with a hard bounce, in the SMTP dialogue or later."""
    complained: int


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A threshold that a campaign exceeded."""

    complaints: bool
    """Whether the threshold is for complaints rather than hard bounces."""
    threshold: str
    """Percent."""
    number: int
    """Recipients with complaints or hard bounces."""
    total: int
    """All recipients that count."""

    @property
    def percent(self) -> float:
        """The share, in percent."""
        return 100 * self.number / self.total

    def __str__(self) -> str:
        what = "complaints" if self.complaints else "hard bounces"
        return (
            f"{self.number:,} {what} of {self.total:,} ({self.percent:.2f} %):"
            f" more than {self.threshold} %"
        )


def exceeded(returned: ReturnedCounts) -> Iterator[Exceeded]:
    """Yield the thresholds that were exceeded.

    The thresholds are 2 % and 5 % hard bounces among at least 50 attempted recipients, and 0.1 %
    complaints among at least 1,000 sent ones.
    """
    bounces = (False, _BOUNCES, returned.hard, returned.attempted, _MIN_ATTEMPTED)
    complaints = (True, _COMPLAINTS, returned.complained, returned.sent, _MIN_SENT)
    for are_complaints, thresholds, number, total, least in (bounces, complaints):
        for threshold in thresholds if total >= least else ():
            if Fraction(number, total) * 100 > Fraction(threshold):
                yield Exceeded(are_complaints, threshold, number, total)
