"""The measurements of throttles: campaigns, their limits, and what may arrive under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

A, B = "smtp-a", "smtp-b"
ALL = "both"
SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that may arrive in any trailing window, at one server or at both together."""

    where: str
    count: int
    window_seconds: float
    binds: bool = True
    """Whether this limit delays the mail, so that it should be used up."""


@dataclass(frozen=True, slots=True)
class Point:
    """One campaign, or two equal ones at once; the expectations are independent of the code."""

    title: str
    messages: int
    """The number of messages of each campaign."""
    bounds: tuple[Bound, ...]
    throttle: Mapping[str, int] = field(default_factory=dict)
    percents: tuple[int, ...] = ()
    """The shares in percent; without them, two connections mean round robin."""
    own: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The limits of each connection."""
    campaigns: int = 1
    """The number of campaigns, each in its own process."""
    kill_after: int | None = None
    """After so many messages the process is killed, and another one continues."""
    database: str = "SQLite"
    round_trip_seconds: float = 0.0

    @property
    def connections(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.bounds for name in _at(one.where)))


def _at(where: str) -> tuple[str, ...]:
    return (A, B) if where == ALL else (where,)


def _title(how: str, count: int, unit: str) -> str:
    return f"{how}, {count:,} {'an' if unit == 'hour' else 'a'} {unit}"


def _single(count: int, messages: int, **fields: str) -> Point:
    bound = Bound(A, count, SECOND)
    throttle = {"per_second": count}
    return Point(_title("single", count, "second"), messages, (bound,), throttle, **fields)  # type: ignore[arg-type]


def _shared(
    percents: tuple[int, ...], count: int, messages: int, window: float = SECOND, **fields: str
) -> Point:
    first = count * (percents or (50,))[0] // 100
    bounds = (
        Bound(ALL, count, window),
        Bound(A, first, window),
        Bound(B, count - first, window),
    )
    unit = {SECOND: "second", MINUTE: "minute", HOUR: "hour", DAY: "day"}[window]
    how = "/".join(map(str, percents)) or "round robin"
    throttle = {f"per_{unit}": count}
    return Point(_title(how, count, unit), messages, bounds, throttle, percents, **fields)  # type: ignore[arg-type]


DOCUMENTS = _shared((70, 30), 6_000, 7_500, MINUTE)
"""The source document's example, 6,000 an hour, in minutes: its windows pass within the run."""

FASTEST = 5_000
POINTS = (
    _single(1, 150),
    _single(10, 1_200),
    _single(100, 1_000),
    _single(1_000, 10_000),
    _single(FASTEST, 50_000),
    _shared((70, 30), 10, 1_200),
    _shared((70, 30), 100, 1_000),
    _shared((70, 30), 1_000, 10_000),
    _shared((70, 30), FASTEST, 50_000),
    _shared((), 10, 1_200),
    _shared((), 100, 1_000),
    _shared((), 1_000, 10_000),
    _shared((), FASTEST, 50_000),
    DOCUMENTS,
    Point(
        "70/30, 100 a second, smtp-a's own limit 40",
        600,
        (Bound(ALL, 100, SECOND, binds=False), Bound(A, 40, SECOND), Bound(B, 30, SECOND)),
        {"per_second": 100},
        (70, 30),
        own={A: {"per_second": 40}},
    ),
    Point(
        "two campaigns, two processes, one connection",
        500,
        (Bound(A, 100, SECOND),),
        own={A: {"per_second": 100}},
        campaigns=2,
    ),
    Point(
        "two campaigns, two processes, one connection",
        5_000,
        (Bound(A, 1_000, SECOND),),
        own={A: {"per_second": 1_000}},
        campaigns=2,
        database="PostgreSQL",
    ),
    _single(1_000, 10_000, database="PostgreSQL"),
    _shared((70, 30), FASTEST, 50_000, database="PostgreSQL"),
)
KILLED = (
    Point(
        "kill -9 and another run, limit a minute",
        1_800,
        (Bound(A, 1_200, MINUTE),),
        {"per_minute": 1_200},
        kill_after=400,
    ),
    Point(
        "kill -9 and another run, limit a second",
        4_500,
        (Bound(A, 100, SECOND),),
        {"per_second": 100},
        kill_after=1_000,
    ),
)
FAR = (
    Point(
        "50 ms, limit a minute",
        1_700,
        (Bound(A, 1_200, MINUTE),),
        {"per_minute": 1_200},
        round_trip_seconds=0.05,
    ),
    Point(
        "50 ms, limit a second",
        1_000,
        (Bound(A, 100, SECOND),),
        {"per_second": 100},
        round_trip_seconds=0.05,
    ),
)
SLOW = (
    Point("single, 1 a minute", 60, (Bound(A, 1, MINUTE),), {"per_minute": 1}),
    _shared((70, 30), 100, 1_000, MINUTE),
    _shared((70, 30), 6_000, 15_000, HOUR),
    _shared((), 6_000, 15_000, HOUR),
    _shared((70, 30), 10_000, 25_000, DAY),
)
SIMULATED = tuple(point for point in POINTS if point.database == "SQLite")
"""The simulated database is neither of both."""
REAL = (
    *(point for point in POINTS if point.throttle.get("per_second") == FASTEST and point.percents),
    *(point for point in POINTS if point.campaigns > 1 and point.database != "SQLite"),
    *(point for point in (*KILLED, *FAR) if "second" in point.title),
)
"""The points that are sent by real campaigns as well."""
