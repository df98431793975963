"""Find which providers on which connections pass a limit: the smallest part that explains it. Pure.

A provider on a connection is judged by itself. The connection is judged as a whole, too, since many
small providers may refuse what no single one proves. Where the connection without its worst
provider is within the limit, that provider alone is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter

from mailsluice.stop_loss.figures import Figures, Measure, Share
from mailsluice.stop_loss.limits import Limits
from mailsluice.stop_loss.sequential_test import RateTest, is_above, is_above_at_once
from mailsluice.stop_loss.unit import UNKNOWN, Unit

_SEVERAL = 3
"""So many providers held on one connection are the connection's trouble."""
_CANARY_ALPHA = 0.005


@dataclass(frozen=True, slots=True)
class Finding:
    """A unit that has passed a limit."""

    unit: Unit
    measure: Measure
    limit: float
    figures: Figures

    @property
    def share(self) -> Share:
        """The numbers that have passed the limit."""
        return self.figures.in_all(self.measure)

    @property
    def excess(self) -> float:
        """How many more recipients than the limit allows."""
        return self.share.number - self.limit * self.share.of


Test = Callable[[Unit, Figures], Finding | None]
"""Tests one unit by its numbers."""


class Judge:
    """Judges a campaign's figures again and again while it is sent."""

    def __init__(
        self, limits: Limits, before: Mapping[Unit, Figures], held: Collection[Unit] = ()
    ) -> None:
        """`before` are the providers' figures so far; `held` units are judged no more."""
        self._limits = limits
        self._held = set(held)
        self._watched: dict[Unit, _Watched] = {}
        for connection, parts in _by_connection(self._free(before)).items():
            self._watch(connection, parts)

    def look(self, figures: Mapping[Unit, Figures]) -> list[Finding]:
        """Judge the figures of the providers on all connections.

        Returns the units that have passed a limit, which count as held from now on.
        """
        found: list[Finding] = []
        for connection, parts in _by_connection(self._free(figures)).items():
            held = sum(unit.connection == connection for unit in self._held)
            if passed := _smallest(connection, parts, held, self._test):
                self._held.update(finding.unit for finding in passed)
                # The connection's evidence was that of the units that are held now.
                self._watch(connection, self._free(parts))
                found += passed
        return found

    def _free(self, figures: Mapping[Unit, Figures]) -> dict[Unit, Figures]:
        return {
            unit: now
            for unit, now in figures.items()
            if unit not in self._held and unit.whole not in self._held
        }

    def _watch(self, connection: str, parts: Mapping[Unit, Figures]) -> None:
        whole = Unit(connection)
        self._watched[whole] = _Watched(self._limits, Figures.total(parts.values()))
        for unit, now in parts.items():
            self._watched.setdefault(unit, _Watched(self._limits, now))

    def _test(self, unit: Unit, now: Figures) -> Finding | None:
        watched = self._watched.setdefault(unit, _Watched(self._limits, Figures()))
        return watched.test(unit, now)


class _Watched:
    """The evidence against one unit."""

    def __init__(self, limits: Limits, before: Figures) -> None:
        self._before = before
        self._judged: Figures | None = None
        self._tests = [(measure, limit, RateTest(limit)) for measure, limit in limits.given()]

    def test(self, unit: Unit, now: Figures) -> Finding | None:
        """Take the numbers so far into account."""
        if now == self._judged:
            return None
        self._judged = now
        since, self._before = now - self._before, now
        for measure, _, test in self._tests:
            test.weigh(*since.in_dialogue(measure))
        for measure, limit, test in self._tests:
            if test.is_passed or is_above(limit, *now.in_all(measure)):
                return Finding(unit, measure, limit, now)
        return None


def judge_canary(
    limits: Limits, figures: Mapping[Unit, Figures], canaries: int = 1
) -> list[Finding]:
    """Judge the canary of one connection in a single look, by the figures of its providers.

    `canaries` is the number of the campaign's connections with a canary. At half of all limits, any
    finding about any of them has a probability of `_CANARY_ALPHA` at most.
    """
    given = list(limits.given())
    alpha = _CANARY_ALPHA / max(1, len(given) * (len(figures) + 1) * canaries)

    def test(unit: Unit, now: Figures) -> Finding | None:
        for measure, limit in given:
            if is_above_at_once(limit, *now.in_all(measure), alpha=alpha):
                return Finding(unit, measure, limit, now)
        return None

    found: list[Finding] = []
    for connection, parts in _by_connection(figures).items():
        found += _smallest(connection, parts, 0, test)
    return found


def _smallest(
    connection: str, parts: Mapping[Unit, Figures], held: int, test: Test
) -> list[Finding]:
    """The providers that pass a limit, or the connection where several do, or only all together.

    `held` is the number of the connection's providers that are held already.
    """
    whole = Unit(connection)
    together = test(whole, Figures.total(parts.values()))
    found = [finding for unit, now in parts.items() if (finding := test(unit, now))]
    if together and not found:
        found = [_explained(together, parts)]
    if not found:
        return []
    are_known = all(finding.unit.provider != UNKNOWN for finding in found)
    if are_known and held + len(found) < _SEVERAL:
        return found
    worst = max(found, key=attrgetter("excess"))
    return [Finding(whole, worst.measure, worst.limit, Figures.total(parts.values()))]


def _explained(together: Finding, parts: Mapping[Unit, Figures]) -> Finding:
    """The provider without which the connection is within the limit, else the connection."""
    measure, limit = together.measure, together.limit
    worst = max(
        (Finding(unit, measure, limit, now) for unit, now in parts.items()),
        key=attrgetter("excess"),
    )
    rest = Finding(together.unit, measure, limit, together.figures - worst.figures)
    return worst if rest.excess <= 0 else together


def _by_connection(figures: Mapping[Unit, Figures]) -> dict[str, dict[Unit, Figures]]:
    result: dict[str, dict[Unit, Figures]] = defaultdict(dict)
    for unit, now in figures.items():
        result[unit.connection][unit] = now
    return dict(result)
