"""A part of a campaign that is held, and what an operator decides about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.stop_loss.figures import Figures
from mailsluice.stop_loss.unit import Unit

CANARY = "canary"
"""The reason of a hold that only asks whether the campaign may go on after its canary."""


class Decision(StrEnum):
    """What becomes of the recipients of a held part that still wait for their mail."""

    GO_ON = "go on"
    """The recipients get the mail. The figures so far count no more."""
    STOP = "stop"
    """The recipients get no mail: they are cancelled."""
    MOVE = "move"
    """Recipients that were never attempted get the mail over another connection."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of a campaign that is held, or was."""

    id: int
    unit: Unit
    reason: str
    """The measure (`Measure`) that passed its limit, or CANARY."""
    limit_percent: float | None
    figures: Mapping[int, Figures]
    """The figures of each provider, by number, at that moment."""
    at: float
    """Seconds since the epoch."""
    decision: Decision | None = None
    target: str | None = None
    """The connection that recipients move to."""

    @property
    def is_active(self) -> bool:
        """Whether nothing is sent to the recipients."""
        return self.decision in (None, Decision.STOP)

    @property
    def total(self) -> Figures:
        """The figures of all providers together."""
        return Figures.total(self.figures.values())
