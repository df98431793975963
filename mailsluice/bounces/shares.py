"""Compare a campaign's shares of bounces and complaints with thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from mailsluice.core import complaints

_BOUNCES = ("2", "5")
_COMPLAINTS = (complaints.WARNING, complaints.CRITICAL)
_MIN_ATTEMPTED = 50
_MIN_SENT = complaints.LEAST_SENT


@dataclass(frozen=True, slots=True)
class ReturnedCounts:
    """Numbers of a campaign's recipients."""

    attempted: int
    """Recipients about which a server has replied; where the provider reports deliveries, only
    those whose mail has arrived or come back."""
    sent: int
    """Recipients whose message a server accepted, whatever came back later."""
    hard: int
    """Recipients with a hard bounce, in the SMTP dialogue or later."""
    complained: int
    blocked: int = 0
    """Recipients whose server refused the sender or the content, as the provider reports."""


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A threshold that a campaign exceeded."""

    complaints: bool
    """Whether the threshold is for complaints rather than hard bounces."""
    threshold: str
    """Percent."""
    number: int
    """Recipients with complaints; or with hard bounces, and those that blocked the mail."""
    total: int
    """All recipients that count."""
    blocked: int = 0
    """The bounces among `number` that blocked the mail."""

    @property
    def percent(self) -> float:
        """The share, in percent."""
        return 100 * self.number / self.total

    def __str__(self) -> str:
        what = "complaints" if self.complaints else "hard bounces"
        if self.blocked:
            what += f" and blocks ({self.blocked:,})"
        return (
            f"{self.number:,} {what} of {self.total:,} ({self.percent:.2f} %):"
            f" more than {self.threshold} %"
        )


def exceeded(returned: ReturnedCounts) -> Iterator[Exceeded]:
    """Yield the thresholds that were exceeded.

    The thresholds are 2 % and 5 % hard bounces and blocks among at least 50 attempted recipients,
    and 0.1 % and 0.3 % complaints among at least 1,000 sent ones.
    """
    bad = returned.hard + returned.blocked
    bounced = (False, _BOUNCES, bad, returned.attempted, _MIN_ATTEMPTED)
    complained = (True, _COMPLAINTS, returned.complained, returned.sent, _MIN_SENT)
    for are_complaints, thresholds, number, total, least in (bounced, complained):
        blocked = 0 if are_complaints else returned.blocked
        for threshold in thresholds if total >= least else ():
            if Fraction(number, total) * 100 > Fraction(threshold):
                yield Exceeded(are_complaints, threshold, number, total, blocked)
