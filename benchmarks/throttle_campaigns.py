"""Real campaigns on the engine, each in a process of its own, to servers that write down when each
message arrived.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import document, results
from benchmarks.databases import database
from benchmarks.delay_proxy import delayed
from benchmarks.processes import BenchmarkError, module
from benchmarks.recorders import Recorder, recorders
from benchmarks.throttle_figures import Times
from benchmarks.throttle_points import Point
from benchmarks.throttled import Told

_SESSIONS = 20
_SIZE = 2_000
_LOOK_SECONDS = 0.01
_LAST_SECONDS = 0.3
"""By then the output of a killed process is read, and no other process has started."""


def send(point: Point) -> tuple[Times, list[Told], float]:
    """Run a point once; also returns the processes' figures, and from when the use counts."""
    with (
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as folder,
        database(point.database) as url,
        recorders(Path(folder), point.connections) as servers,
        delayed([one.port for one in servers.values()], point.round_trip_seconds) as ports,
    ):
        at = dict(zip(point.connections, ports, strict=True))
        tasks = [_task(point, number, url, folder, at) for number in range(point.campaigns)]
        since = 0.0
        if point.kill_after:
            with _started(tasks[0]) as process:
                since = _kill(process, servers, point.kill_after)
        with ExitStack() as stack:
            processes = [stack.enter_context(_started(task)) for task in tasks]
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


@contextmanager
def _started(task: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
    command = module("benchmarks.throttled", json.dumps(task))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=results.ROOT, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


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
    process.wait()
    return time.monotonic() + _LAST_SECONDS
