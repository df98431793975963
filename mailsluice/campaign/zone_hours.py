"""A sending window in each of several time zones. Pure: moments are seconds since the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from mailsluice.campaign.sending_window import SendingWindow


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which the window in one zone stays open, or stays closed."""

    is_open: bool
    since: float
    until: float
    """The first moment after it; infinity: it never ends."""

    def includes(self, at: float) -> bool:
        """Whether a moment is in it."""
        return self.since <= at < self.until


class OpenZones(NamedTuple):
    """Which zones are open, in a time in which none opens or closes. Zones are given by number."""

    open: tuple[int, ...]
    """The first to close is first."""
    closed: tuple[int, ...]
    """The first to open is first."""
    shut: frozenset[int]
    """The closed ones, for a quick look."""
    since: float
    until: float


class ZoneHours:
    """When a window is open in zones that are numbered from 0."""

    def __init__(self, window: SendingWindow, zones: Sequence[str]) -> None:
        """`zones` are names as `SendingWindow.in_zone` takes them."""
        self._windows = [window.in_zone(name) for name in zones]
        self._spells = [Spell(False, math.inf, -math.inf) for _ in zones]
        self._latest = OpenZones((), (), frozenset(), math.inf, -math.inf)

    def at(self, at: float) -> OpenZones:
        """Tell which zones are open at a moment."""
        latest = self._latest
        if not latest.since <= at < latest.until:
            latest = self._latest = self._open_zones(at)
        return latest

    def spell(self, zone: int, at: float) -> Spell:
        """The time around a moment in which the window of a zone neither opens nor closes."""
        spell = self._spells[zone]
        if not spell.includes(at):
            spell = self._spells[zone] = _spell(self._windows[zone], at)
        return spell

    def _open_zones(self, at: float) -> OpenZones:
        spells = [self.spell(zone, at) for zone in range(len(self._windows))]
        in_order = sorted(range(len(spells)), key=lambda zone: spells[zone].until)
        closed = tuple(zone for zone in in_order if not spells[zone].is_open)
        return OpenZones(
            tuple(zone for zone in in_order if spells[zone].is_open),
            closed,
            frozenset(closed),
            max((spell.since for spell in spells), default=at),
            min((spell.until for spell in spells), default=math.inf),
        )


@lru_cache(maxsize=1 << 16)  # estimates walk through the same turns again and again
def _spell(window: SendingWindow, at: float) -> Spell:
    """The spell from a moment on; what was before is not searched."""
    moment = datetime.fromtimestamp(at, UTC)
    is_open = window.is_open(moment)
    until = window.closes_at(moment) if is_open else window.opens_at(moment)
    return Spell(is_open, at, until.timestamp() if until else math.inf)
