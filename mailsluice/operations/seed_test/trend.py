"""Placement and delay of connections over time, from stored seed tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from mailsluice.operations.probes.delivered import Placement
from mailsluice.operations.probes.result import Probed
from mailsluice.store.seed_copy import SeedCopy, StoredSeed

DAYS = 90
"""How far a trend goes back."""


@dataclass(frozen=True, slots=True)
class Point:
    """One test of one connection."""

    at: float
    """In seconds since the epoch."""
    copies: int
    inbox: int
    spam: int
    missing: int
    delay_seconds: float | None
    """The median of the copies that were found."""

    @property
    def percent(self) -> float:
        """Copies in the inbox, in percent of all that the connection's server accepted."""
        return 100 * self.inbox / self.copies


@dataclass(frozen=True, slots=True)
class Fall:
    """A connection whose placement fell below the threshold."""

    connection: str
    point: Point
    before: Point | None
    """The test before, which was not below it; None for a first test."""


Trends = dict[str, list[Point]]
"""The tests of each connection, the oldest first."""


def seed_copies(copies: Sequence[Probed]) -> list[SeedCopy]:
    """Return what is stored of a test: copies of which something is known."""
    return [_stored(copy, copy.placement) for copy in copies if copy.placement]


def trends(seeds: Sequence[StoredSeed]) -> Trends:
    """Group stored copies by connection and test."""
    tests: dict[tuple[str, float], list[StoredSeed]] = {}
    for seed in seeds:
        tests.setdefault((seed.connection, seed.at), []).append(seed)
    by_connection: Trends = {}
    for (connection, at), copies in sorted(tests.items()):
        by_connection.setdefault(connection, []).append(_point(at, copies))
    return by_connection


def below(by_connection: Trends, tested: Sequence[str], least_percent: float) -> list[str]:
    """Return the tested connections whose last test has less in the inbox than it should."""
    return [
        connection
        for connection in tested
        if (points := by_connection.get(connection)) and points[-1].percent < least_percent
    ]


def falls(by_connection: Trends, tested: Sequence[str], least_percent: float) -> list[Fall]:
    """Return those of them whose test before was not below: each fall is reported once."""
    fallen = []
    for connection in below(by_connection, tested, least_percent):
        *earlier, last = by_connection[connection]
        before = earlier[-1] if earlier else None
        if before is None or before.percent >= least_percent:
            fallen.append(Fall(connection, last, before))
    return fallen


def _point(at: float, copies: Sequence[StoredSeed]) -> Point:
    placed = [copy.placement for copy in copies]
    delays = [copy.delay_seconds for copy in copies if copy.delay_seconds is not None]
    return Point(
        at,
        len(copies),
        placed.count(Placement.INBOX),
        placed.count(Placement.SPAM),
        placed.count(Placement.MISSING),
        median(delays) if delays else None,
    )


def _stored(copy: Probed, placement: Placement) -> SeedCopy:
    known = copy.delivered.verdicts if copy.delivered else None
    given = (known.spf, known.dkim, known.dmarc) if known else (None, None, None)
    spf, dkim, dmarc = (verdict.result if verdict else "" for verdict in given)
    tls = copy.delivered.tls if copy.delivered else ""
    return SeedCopy(
        copy.connection,
        copy.probe,
        copy.provider,
        placement.value,
        copy.delay_seconds,
        spf,
        dkim,
        dmarc,
        tls,
    )
