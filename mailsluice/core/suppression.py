"""An entry of the suppression list. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from mailsluice.core.suppression_reason import SuppressionReason


class Suppression(NamedTuple):
    """An address that gets no mail."""

    email: str
    """The address; folded if it was read from the list."""
    reason: str
    """A value of SuppressionReason; an unknown reason from an old list counts as `manual`."""
    source: str
    """The person, program or list that the entry comes from."""
    created_at: float | None = None
    """In seconds since the epoch; None: now."""

    @property
    def why(self) -> str:
        """Why a recipient got no mail, as stored with the recipient."""
        day = f", {datetime.fromtimestamp(self.moment, UTC):%Y-%m-%d}" if self.moment else ""
        return f"{self.reason}: {self.source}{day}"

    @property
    def moment(self) -> float | None:
        """`created_at` if a calendar has that day, else None.

        Imports of earlier versions stored any number that a list gave as a date.
        """
        since = self.created_at
        return since if since is not None and _FIRST_YEAR <= since < _END_OF_YEARS else None

    @property
    def kind(self) -> SuppressionReason:
        """The reason under which the entry is counted."""
        return SuppressionReason(self.reason) if self.reason in _KNOWN else SuppressionReason.MANUAL


_KNOWN = frozenset(SuppressionReason)
_FIRST_YEAR = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_END_OF_YEARS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def held_back(counts: Mapping[str, int]) -> str:
    """Say how many recipients are suppressed for which reason; empty if none are.

    `counts` are by reason; the result has the most frequent reason first.
    """
    by_count = sorted((-count, name) for name, count in counts.items() if count)
    if not by_count:
        return ""
    total = sum(-negative for negative, _ in by_count)
    return f"{total:,}: " + ", ".join(f"{-negative:,} {name}" for negative, name in by_count)
