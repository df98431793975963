"""Measure how exactly campaigns end at their finish time, at recording servers.

Each campaign goes over two connections, 70/30. The time of its last message, by the servers' clock,
is shown as a part of the campaign's span: between 99 and 100 percent is what is wanted. The pace is
even where each tenth of the span has a tenth of the messages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import document, results
from benchmarks.databases import KINDS, database
from benchmarks.processes import module
from benchmarks.recorders import Recorder, recorders
from mailsluice.campaign import Campaign
from mailsluice.operations.send import send
from mailsluice.smtp.connection import Connection, Security

_SHARES = {"red": 70, "green": 30}
_PARTS = 10
_CASES = {"one process": {}, "two processes": {"processes": 2}, "killed, resumed": {}}
_KILL_AT = 0.4


def measure(kind: str, case: str, messages: int, seconds: float) -> dict[str, float]:
    """Send one campaign; returns the end in percent of the span, and the unevenness in percent."""
    with (
        database(kind) as url,
        tempfile.TemporaryDirectory() as folder,
        recorders(Path(folder), [*_SHARES]) as servers,
    ):
        campaign = document.campaign("finish", messages, 2_000, [*_SHARES])
        since = time.time()
        routes = [{"connection": name, "percent": share} for name, share in _SHARES.items()]
        end = datetime.fromtimestamp(since + seconds, UTC).isoformat()
        fields = {"strategy": "percentage", "routes": routes, "finish_by": end, **_CASES[case]}
        ports = {name: server.port for name, server in servers.items()}
        task = json.dumps([{**campaign, **fields}, ports, url, folder], default=str)
        if case.startswith("killed"):
            with subprocess.Popen(module("benchmarks.finish", "--task", task)) as killed:
                time.sleep(_KILL_AT * seconds)
                killed.kill()
        subprocess.run(module("benchmarks.finish", "--task", task), check=True)
        return _judged(servers, messages, since, seconds)


def _judged(
    servers: dict[str, Recorder], messages: int, since: float, seconds: float
) -> dict[str, float]:
    shift = time.time() - time.monotonic() - since
    times = sorted(shift + at for server in servers.values() for at in server.times())
    parts = [0] * _PARTS
    for at in times:
        parts[min(_PARTS - 1, int(_PARTS * (at - times[0]) / (times[-1] - times[0])))] += 1
    mean = len(times) / _PARTS
    return {
        "end_percent": 100 * times[-1] / seconds,
        "uneven_percent": 100 * max(abs(part - mean) for part in parts) / mean,
        "missing": messages - len(times),
    }


def _send(task: list[Any]) -> None:
    campaign, ports, url, home = task
    connections = [
        Connection(name, "127.0.0.1", port, Security.NONE, max_sessions=4)
        for name, port in ports.items()
    ]
    os.environ["MAILSLUICE_HOME"] = home
    send(Campaign(**campaign), connections, database=url)


def run(*, messages: int, seconds: float) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured = {
        f"{case}, {kind}": measure(kind, case, messages, seconds)
        for kind in KINDS
        for case in _CASES
    }
    rows = [
        [name, f"{one['end_percent']:.2f}", f"{one['uneven_percent']:.1f}", int(one["missing"])]
        for name, one in measured.items()
    ]
    print(results.table(["campaign", "end, % of span", "uneven, %", "in doubt"], rows), flush=True)
    results.save("finish", before, **measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finish", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        _send(json.loads(given.task))
    else:
        run(messages=given.messages, seconds=given.seconds)
