"""The limits of a stop-loss, as fractions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailsluice.stop_loss.figures import Measure


@dataclass(frozen=True, slots=True)
class Limits:
    """The highest share of the mail that may bounce, be blocked or be complained about.

    None: not watched.
    """

    bounced: float | None = None
    blocked: float | None = None
    complained: float | None = None

    def given(self) -> Iterator[tuple[Measure, float]]:
        """The limits that are set, by measure."""
        for measure in Measure:
            limit: float | None = getattr(self, measure.value)
            if limit is not None:
                yield measure, limit

    def __bool__(self) -> bool:
        return any(True for _ in self.given())
