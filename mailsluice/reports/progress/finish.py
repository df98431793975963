"""Whether a campaign will be finished in time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailsluice.core.timezones import shown


@dataclass(frozen=True, slots=True)
class Finish:
    """The moment by which a campaign is to be finished, and when it will be."""

    by: datetime
    ends: Mapping[str, datetime | None] = field(default_factory=dict)
    """When each connection that has recipients left will be done; None: not within years."""
    tolerance: timedelta = timedelta(0)

    @property
    def late(self) -> dict[str, datetime | None]:
        """The connections that will be done too late, the last one first."""
        late = {
            name: end
            for name, end in self.ends.items()
            if end is None or end > self.by + self.tolerance
        }
        return dict(sorted(late.items(), key=lambda item: _last(item[1]), reverse=True))

    @property
    def ends_at(self) -> datetime | None:
        """When the campaign will be done; None: not within years."""
        ends = [self.by, *self.ends.values()]
        return None if None in ends else max(end for end in ends if end)

    def words(self, moment: datetime, timezone: str, connection: str | None = None) -> str:
        """Say at a moment when the campaign, or a connection, will be done."""
        by = shown(self.by, moment, timezone)
        is_late = connection in self.late if connection else bool(self.late)
        end = self.ends.get(connection) if connection else self.ends_at
        if not is_late:
            return f"to be finished by {by}"
        done = f"done about {shown(end, moment, timezone)}" if end else "not done within years"
        return f"{done}, later than its finish time, {by}"


def _last(end: datetime | None) -> tuple[bool, float]:
    return end is None, end.timestamp() if end else 0.0
