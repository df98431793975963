"""Whether limits hold and are used: in simulated time, where the load of this machine does not
matter, and by some real campaigns beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import results, windows
from benchmarks.throttle_campaigns import send
from benchmarks.throttle_figures import Times, judged, tables
from benchmarks.throttle_points import (
    DOCUMENTS,
    FAR,
    FASTEST,
    KILLED,
    REAL,
    SIMULATED,
    SLOW,
    Point,
)
from benchmarks.throttle_simulation import simulate
from benchmarks.throttled import Told


def measure(group: str, point: Point) -> dict[str, Any]:
    """Run or simulate a point; returns the figures to save."""
    told: Sequence[Told] = ()
    since = 0.0
    times: Times
    if group == "real":
        times, told, since = send(point)
    else:
        times, since = simulate(point)
    begin = min(some[0] for some in times.values())
    return {
        "group": group,
        "title": point.title,
        "database": point.database if told else "",
        "messages": sum(map(len, times.values())),
        "bounds": judged(point, times, since),
        "reserve": [one.shares() for one in told],
        "is_fastest": point.throttle.get("per_second") == FASTEST,
        "per_second": {name: windows.per_second(some, begin) for name, some in times.items()}
        if point is DOCUMENTS and group != "real"
        else None,
    }


def run(*, titles: Iterable[str] | None = None, quick: bool = False) -> None:
    """Measure, print and save; `quick`: without real campaigns."""
    before = results.machine()
    groups = {
        "near": SIMULATED,
        "killed": KILLED,
        "far": FAR,
        "slow": SLOW,
        "real": () if quick else REAL,
    }
    chosen = [
        (group, point)
        for group, points in groups.items()
        for point in points
        if titles is None or point.title in titles
    ]
    measured = []
    for group, point in chosen:
        measured.append(measure(group, point))
        said = (
            f"{one['most']}/{one['limit']} {one['use'] or 0:.1%}" for one in measured[-1]["bounds"]
        )
        print(f"  {point.title}, {point.database}: {', '.join(said)}", flush=True)
    print(f"\n{tables({'measured': measured})}\n", flush=True)
    results.save("throttles", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttles", description=__doc__)
    parser.add_argument("--point", action="append", dest="titles", help="only these, by title")
    parser.add_argument("--quick", action="store_true", help="without real campaigns")
    run(**vars(parser.parse_args()))
