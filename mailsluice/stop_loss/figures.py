"""The numbers that a stop-loss judges: those of one provider on one connection, or a sum. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from operator import add, attrgetter
from typing import NamedTuple, Self

from mailsluice.stop_loss.unit import Unit


class Measure(StrEnum):
    """What a stop-loss has a limit for."""

    BOUNCED = "bounced"
    """Refused for good by the server, or returned later with a hard bounce."""
    BLOCKED = "blocked"
    """Refused, at once or later, because of the sender's reputation."""
    COMPLAINED = "complained"
    """Reported as unwanted by the recipient."""


class Share(NamedTuple):
    """So many recipients of so many."""

    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of recipients."""

    sent: int = 0
    """Recipients whose message the server accepted, whatever came back later."""
    refused: int = 0
    """Recipients that the server refused for good, in the SMTP dialogue."""
    blocked: int = 0
    """Replies of the server, in the SMTP dialogue, that blame the sender's reputation."""
    put_off: int = 0
    """Blocking replies that put the recipient off."""
    bounced_later: int = 0
    """Accepted messages that came back with a hard bounce."""
    blocked_later: int = 0
    """Accepted messages that were blocked later."""
    complained: int = 0
    deferred: int = 0
    """Replies that put a recipient off, in the SMTP dialogue, perhaps several about one."""

    def __add__(self, more: Figures) -> Figures:
        return Figures(*map(add, self.numbers, more.numbers))

    def __sub__(self, before: Figures) -> Figures:
        """The numbers since `before`; none is negative."""
        pairs = zip(self.numbers, before.numbers, strict=True)
        return Figures(*(max(0, now - then) for now, then in pairs))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers, in the order of the fields."""
        numbers: tuple[int, ...] = _NUMBERS(self)
        return numbers

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Figures:
        """The sum of the parts."""
        numbers = [part.numbers for part in parts]
        return Figures(*map(sum, zip(*numbers, strict=True)))

    def in_dialogue(self, measure: Measure) -> Share:
        """What the server's replies tell, at once and in the order of the mail."""
        if measure is Measure.BLOCKED:
            return Share(self.blocked, self.sent + self.refused + self.put_off)
        number = self.refused if measure is Measure.BOUNCED else 0
        return Share(number, self.sent + self.refused)

    def in_all(self, measure: Measure) -> Share:
        """What replies, returned mail and events tell together."""
        number, of = self.in_dialogue(measure)
        match measure:
            case Measure.BOUNCED:
                return Share(number + self.bounced_later, of)
            case Measure.BLOCKED:
                return Share(number + self.blocked_later, of)
            case Measure.COMPLAINED:
                return Share(self.complained, self.sent)


_NUMBERS = attrgetter(*(field.name for field in fields(Figures)))


def add_figures(totals: dict[Unit, Figures], more: Mapping[Unit, Figures]) -> None:
    """Add figures by unit."""
    for unit, figures in more.items():
        totals[unit] = totals.get(unit, Figures()) + figures
