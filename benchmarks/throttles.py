"""Whether limits hold and are used: real campaigns on the engine, to servers that write down when
each message arrived.

Use is messages / (limit x time) from the first message to the last; at both connections together
until the first of them has nothing left, after a kill from the first message of the new run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import document, results, windows
from benchmarks.databases import database
from benchmarks.delay_proxy import delayed
from benchmarks.processes import BenchmarkError, module
from benchmarks.recorders import Recorder, recorders
from benchmarks.throttle_points import (
    ALL,
    DOCUMENTS,
    FAR,
    FASTEST,
    KILLED,
    POINTS,
    SLOW,
    Bound,
    Point,
)
from benchmarks.throttle_simulation import Simulation
from benchmarks.throttled import RESERVE, Told

_SESSIONS = 20
_SIZE = 2_000
_LOOK_SECONDS = 0.01
_LAST_SECONDS = 0.3
"""What a killed process had written has been read by then; no other has started so soon."""
_UNITS = {1.0: "second", 60.0: "minute", 3_600.0: "hour", 86_400.0: "day"}
_GROUPS = {
    "loopback": "real campaigns, loopback",
    "killed": "killed and gone on with",
    "far": "50 ms away",
    "simulated": "simulated clock",
}

Times = Mapping[str, Sequence[float]]
"""When messages arrived, by connection, in order."""


def send(point: Point) -> tuple[Times, list[Told], float]:
    """Run a point once; gives also what the processes say, and from when its use counts."""
    with (
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as folder,
        database(point.database) as url,
        recorders(Path(folder), point.connections) as servers,
        delayed([one.port for one in servers.values()], point.round_trip_seconds) as ports,
    ):
        at = dict(zip(point.connections, ports, strict=True))
        tasks = [_task(point, number, url, folder, at) for number in range(point.campaigns)]
        processes = [_start(task) for task in tasks]
        since = 0.0
        if point.kill_after:
            since = _kill(processes[0], servers, point.kill_after)
            processes = [_start(tasks[0])]
        told = [_finish(process) for process in processes]
        times = {name: server.times() for name, server in servers.items()}
    arrived = sum(map(len, times.values()))
    least = point.messages * point.campaigns - (_SESSIONS if point.kill_after else 0)
    if arrived < least:
        raise BenchmarkError(f"{point.title}: {arrived} messages have arrived")
    return times, told, since


def _task(
    point: Point, number: int, url: str, folder: str, ports: Mapping[str, int]
) -> dict[str, Any]:
    names = list(ports)
    percents = point.percents or (None,) * len(names)
    fields: dict[str, Any] = {
        **document.campaign(f"bench {number}", point.messages, _SIZE, names[:1]),
        "throttle": point.throttle,
        "routes": [
            {"connection": name, "percent": percent}
            for name, percent in zip(names, percents, strict=True)
        ],
    }
    if len(names) > 1:
        fields["strategy"] = "percentage" if point.percents else "round_robin"
    sessions = _SESSIONS // len(names) // point.campaigns
    connections = [
        {
            "name": name,
            "host": "127.0.0.1",
            "port": port,
            "max_sessions": sessions,
            **point.own.get(name, {}),
        }
        for name, port in ports.items()
    ]
    return {"url": url, "home": folder, "campaign": fields, "connections": connections}


def _start(task: Mapping[str, Any]) -> subprocess.Popen[str]:
    command = module("benchmarks.throttled", json.dumps(task))
    return subprocess.Popen(
        command, cwd=results.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> Told:
    out, errors = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"exit code {process.returncode}: {errors.strip()[-300:]}")
    return Told(**json.loads(out.strip().splitlines()[-1]))


def _kill(process: subprocess.Popen[str], servers: Mapping[str, Recorder], after: int) -> float:
    while sum(server.count() for server in servers.values()) < after:
        if process.poll() is not None:
            _finish(process)
            raise BenchmarkError("it had ended before it could be killed")
        time.sleep(_LOOK_SECONDS)
    process.kill()
    process.communicate()
    return time.monotonic() + _LAST_SECONDS


def judged(point: Point, times: Times, since: float = 0.0) -> list[dict[str, Any]]:
    """Each limit of a point beside what arrived."""
    return [_judged(bound, times, since) for bound in point.bounds]


def _judged(bound: Bound, times: Times, since: float) -> dict[str, Any]:
    mine = list(times.values()) if bound.where == ALL else [times[bound.where]]
    together = sorted(at for some in mine for at in some)
    last = min(some[-1] for some in mine)
    counting = [at for at in together if since <= at <= last]
    return {
        "where": bound.where,
        "limit": bound.count,
        "window_seconds": bound.window_seconds,
        "most": windows.most(together, bound.window_seconds),
        "use": windows.use(counting, bound.count, bound.window_seconds) if bound.binds else None,
    }


def measure(group: str, point: Point) -> dict[str, Any]:
    """Run or simulate a point; gives what is saved of it."""
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


def tables(section: dict[str, Any]) -> str:
    """Two markdown tables."""
    rows = []
    for one in section["measured"]:
        what = ", ".join(filter(None, (one["title"], one["database"])))
        if one["group"] == "simulated":
            what += " (simulated)"
        for bound in one["bounds"]:
            limit = f"{bound['limit']:,} a {_UNITS[bound['window_seconds']]}"
            use = "" if bound["use"] is None else f"{bound['use']:.1%}"
            rows.append([what, bound["where"], limit, f"{bound['most']:,}", use])
            what = ""
    head = ["campaign", "at", "limit", "most in a window", "use"]
    return f"{results.table(head, rows)}\n\n{_cost_table(section)}"


def _cost_table(section: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['title']}, {one['database']}",
            f"{told['calls_per_second']:.1f}",
            *(f"{told[name]:.2%}" for name in ("cpu", "wall", "cpu_of_threads")),
        ]
        for one in section["measured"]
        if one["is_fastest"]
        for told in one["reserve"]
    ]
    head = [
        f"time in `{RESERVE}`",
        "calls a second",
        "processor",
        "wall",
        "processor, of both threads'",
    ]
    return results.table(head, rows)


def aims(section: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """What was aimed at: what, wanted, measured, whether it is met."""
    out = []
    bounds = [(one["group"], bound) for one in section["measured"] for bound in one["bounds"]]
    over = sum(bound["most"] > bound["limit"] for _, bound in bounds)
    what = f"throttles: windows over their limit, {len(bounds)} limits"
    out.append((what, "0", str(over), over == 0))
    for group, name in _GROUPS.items():
        uses = [bound["use"] for of, bound in bounds if of == group and bound["use"] is not None]
        if uses:
            least = min(uses)
            what = f"throttles: lowest use of a limit, {name}"
            out.append((what, ">= 98 %", f"{least:.1%}", least >= 0.98))
    costs = [
        told["cpu"] for one in section["measured"] if one["is_fastest"] for told in one["reserve"]
    ]
    if costs:
        what = f"throttles: processor time of their memory, {FASTEST:,} a second"
        out.append((what, "< 1 %", f"{max(costs):.1%}", max(costs) < 0.01))
    return out


def run(*, titles: Iterable[str] | None = None) -> None:
    """Measure, print and save."""
    before = results.machine()
    groups = {"loopback": POINTS, "killed": KILLED, "far": FAR, "simulated": SLOW}
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
