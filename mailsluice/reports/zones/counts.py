"""Counts of the mail to each time zone, by status. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.core.markdown import cell, table
from mailsluice.core.timezones import zone

_MOST = 12


@dataclass(frozen=True, slots=True)
class ZoneCounts:
    """The recipients in one time zone."""

    zone: str
    """Empty: those whose zone is not known; the sending window's own applies to them."""
    recipients: int
    sent: int
    left: Mapping[str, int]
    """Recipients that still wait, by connection."""
    first_at: float | None
    """When the first message was accepted, in seconds since the epoch."""
    last_at: float | None

    @property
    def waiting(self) -> int:
        """Recipients that still wait, over all connections."""
        return sum(self.left.values())


def zone_table(counts: Sequence[ZoneCounts]) -> list[str]:
    """A row for each of the largest zones, with times of the zone; nothing without zones."""
    if not counts:
        return []
    rows = [_row(of_zone) for of_zone in counts[:_MOST]]
    if rest := counts[_MOST:]:
        together = (sum(of_zone.recipients for of_zone in rest), sum(one.sent for one in rest))
        left = sum(of_zone.waiting for of_zone in rest)
        rows.append([f"{len(rest):,} others", *(f"{n:,}" for n in (*together, left)), "", ""])
    return table(["time zone", "recipients", "sent", "waiting", "first", "last"], rows)


def _row(of_zone: ZoneCounts) -> list[str]:
    numbers = (of_zone.recipients, of_zone.sent, of_zone.waiting)
    times = (_shown(at, of_zone.zone) for at in (of_zone.first_at, of_zone.last_at))
    name = cell(of_zone.zone) or "not known"
    return [name, *(f"{number:,}" for number in numbers), *times]


def _shown(at: float | None, name: str) -> str:
    if at is None:
        return ""
    moment = datetime.fromtimestamp(at, zone(name) if name else UTC)
    return f"{moment:%a %Y-%m-%d %H:%M}{'' if name else ' UTC'}"
