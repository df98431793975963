"""Compare a campaign's shares of bounces and complaints with thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from mailsluice.core import complaints
from mailsluice.mailbox_providers import title_of

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

    def of(self, *, complaints: bool) -> tuple[int, int]:
        """Recipients who count against a threshold, and all recipients of whom they are a part."""
        bad = self.hard + self.blocked
        return (self.complained, self.sent) if complaints else (bad, self.attempted)


@dataclass(frozen=True, slots=True)
class Responsible:
    """The mailbox provider without whose mail the threshold would not be exceeded."""

    provider: str
    number: int
    """Recipients of the provider with complaints, or with hard bounces and blocks."""
    total: int
    """All recipients of the provider that count."""

    def __str__(self) -> str:
        share = 100 * self.number / self.total
        return (
            f"{title_of(self.provider)} alone has {self.number:,} of {self.total:,}"
            f" ({share:.2f} %); all others are below the threshold together"
        )


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
    responsible: Responsible | None = None
    """None when no single provider is."""

    @property
    def percent(self) -> float:
        """The share, in percent."""
        return 100 * self.number / self.total

    def __str__(self) -> str:
        what = "complaints" if self.complaints else "hard bounces"
        if self.blocked:
            what += f" and blocks ({self.blocked:,})"
        whose = f"; {self.responsible}" if self.responsible else ""
        return (
            f"{self.number:,} {what} of {self.total:,} ({self.percent:.2f} %):"
            f" more than {self.threshold} %{whose}"
        )


def exceeded(returned: ReturnedCounts) -> Iterator[Exceeded]:
    """Yield the thresholds that were exceeded.

    The thresholds are 2 % and 5 % hard bounces and blocks among at least 50 attempted recipients,
    and 0.1 % and 0.3 % complaints among at least 1,000 sent ones.
    """
    bounced = (False, _BOUNCES, _MIN_ATTEMPTED)
    complained = (True, _COMPLAINTS, _MIN_SENT)
    for are_complaints, thresholds, least in (bounced, complained):
        number, total = returned.of(complaints=are_complaints)
        blocked = 0 if are_complaints else returned.blocked
        for threshold in thresholds if total >= least else ():
            if Fraction(number, total) * 100 > Fraction(threshold):
                yield Exceeded(are_complaints, threshold, number, total, blocked)


def responsible(passed: Exceeded, by_provider: Mapping[str, ReturnedCounts]) -> Responsible | None:
    """Return the mailbox provider that is responsible, if a single one is.

    The threshold is exceeded in the mail to this provider, and not in the mail to all others.
    """
    parts = {
        name: returned.of(complaints=passed.complaints) for name, returned in by_provider.items()
    }
    if not parts:
        return None
    name = max(sorted(parts), key=lambda name: parts[name][0])
    number, total = parts[name]
    others, their_total = passed.number - number, passed.total - total
    limit = Fraction(passed.threshold)
    is_alone = their_total > 0 and 100 * Fraction(others, their_total) <= limit
    return Responsible(name, number, total) if is_alone and total > 0 else None
