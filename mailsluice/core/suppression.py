"""One address of the list. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from mailsluice.core.suppression_reason import SuppressionReason


class Suppression(NamedTuple):
    """An address that gets no mail."""

    email: str
    """Folded, where it is read from the list."""
    reason: str
    """A Reason's value; what stands for another in a list of old is taken for `manual`."""
    source: str
    """Who or what says so."""
    created_at: float | None = None
    """In seconds since the epoch; None: now."""

    @property
    def why(self) -> str:
        """For the row of one who got no mail."""
        day = (
            f", {datetime.fromtimestamp(self.created_at, UTC):%Y-%m-%d}" if self.created_at else ""
        )
        return f"{self.reason}: {self.source}{day}"

    @property
    def kind(self) -> SuppressionReason:
        """The reason, as one of those that are counted."""
        return SuppressionReason(self.reason) if self.reason in _KNOWN else SuppressionReason.MANUAL


_KNOWN = frozenset(SuppressionReason)


def held_back(counts: Mapping[str, int]) -> str:
    """How many were held back, and why; empty where nobody was."""
    most = sorted(((name, number) for name, number in counts.items() if number), key=_more)
    if not most:
        return ""
    total = sum(number for _, number in most)
    return f"{total:,}: " + ", ".join(f"{number:,} {name}" for name, number in most)


def _more(one: tuple[str, int]) -> tuple[int, str]:
    return -one[1], one[0]
