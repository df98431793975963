"""Whether limits hold and are used: by real campaigns, and, where those would take too long, with
the engine's pure part and a clock of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import results, windows
from benchmarks.throttle_campaigns import send
from benchmarks.throttle_figures import Times, judged, tables
from benchmarks.throttle_points import DOCUMENTS, FAR, FASTEST, KILLED, POINTS, SLOW, Point
from benchmarks.throttle_simulation import Simulation
from benchmarks.throttled import Told


def measure(group: str, point: Point) -> dict[str, Any]:
    """Run or simulate a point; returns the figures to save."""
    told: Sequence[Told] = ()
    since = 0.0
    if group == "simulated":
        times: Times = Simulation(point).run()
    else:
        times, told, since = send(point)
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
        if point is DOCUMENTS
        else None,
    }


def run(*, titles: Iterable[str] | None = None) -> None:
    """Measure, print and save."""
    before = results.machine()
    groups = {"near": POINTS, "killed": KILLED, "far": FAR, "simulated": SLOW}
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
    run(**vars(parser.parse_args()))
