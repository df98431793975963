"""Measure a short campaign's start and end, and where their time goes.

The start lasts from the beginning of the flow run to the first mail at a server, and the end from
the last reply to the end of the flow run. The server has run a campaign before. A proxy notes when
each request begins. On a machine with other work, the processor time of the campaign's process says
more than the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks import results
from benchmarks.api_proxy import Calls, counted
from benchmarks.document import recipients_file
from benchmarks.processes import BenchmarkError, module
from benchmarks.send import a_prefect_server
from benchmarks.senders import Task
from benchmarks.sinks import Sink, default_kind, sinks, wait_for

_RECIPIENTS = 1_000
_SESSIONS = 10
_SIZE = 2_000
_SAMPLE_SECONDS = 0.01
_AIMS = {"from the run's start to the first mail": 2.0, "from the last reply to the run's end": 1.0}
"""By part of a run, how many seconds it may take."""
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run, between two moments of the wall clock."""

    seconds: float
    processor: float
    """Processor seconds of the campaign's process."""
    requests: list[tuple[float, str]]
    """When each request began, in seconds from the part's beginning."""


class ProcessorTime:
    """The processor seconds of a process, sampled while it runs."""

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/stat")
        self._at: list[float] = []
        self._used: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def between(self, begin: float, end: float) -> float:
        """The processor seconds between two moments."""
        return self._until(end) - self._until(begin)

    def _until(self, moment: float) -> float:
        return self._used[max(0, bisect(self._at, moment) - 1)] if self._used else 0.0

    def _watch(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        while True:
            try:
                fields = self._path.read_text("ascii").rpartition(")")[2].split()
            except (OSError, ProcessLookupError):
                return
            self._at.append(time.time())
            self._used.append((int(fields[11]) + int(fields[12])) / ticks)
            time.sleep(_SAMPLE_SECONDS)


def measure(recipients: int) -> tuple[Part, Part]:
    """Run one campaign; returns its start and its end."""
    recipients_file(recipients)
    straight = os.environ["PREFECT_API_URL"]
    with (
        counted(urlsplit(straight).port or 80) as (port, calls),
        sinks(2, default_kind(), None) as there,
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as home,
    ):
        task = Task([sink.port for sink in there], _SESSIONS, recipients, _SIZE)
        environment = {
            "MAILSLUICE_HOME": home,
            "MAILSLUICE_DATABASE_URL": "",
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        }
        command = module("benchmarks.campaign", task.as_json(with_parts=False))
        used = _processor_time_of(command, environment)
        wait_for(there, recipients)
        began, ended = _run_times(straight)
        first, last = _mail_times(there)
        return (
            _part(began, first, used, calls),
            _part(last, ended, used, calls),
        )


def _processor_time_of(command: Sequence[str], environment: dict[str, str]) -> ProcessorTime:
    """Run a command to its end. Raises BenchmarkError."""
    with subprocess.Popen(
        command,
        cwd=results.ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        used = ProcessorTime(process.pid)
        if code := process.wait(_TIMEOUT_SECONDS):
            raise BenchmarkError(f"the campaign ended with exit code {code}")
    return used


def _run_times(api_url: str) -> tuple[float, float]:
    """When the last campaign's run began and ended, by the server's clock, which is ours."""
    campaigns = FlowFilter(name=FlowFilterName(any_=["send-campaign"]))
    with (
        temporary_settings({PREFECT_API_URL: api_url}),
        get_client(sync_client=True) as client,
    ):
        (run,) = client.read_flow_runs(
            flow_filter=campaigns, sort=FlowRunSort.START_TIME_DESC, limit=1
        )
    if run.start_time is None or run.end_time is None:
        raise BenchmarkError("the campaign's run has not ended")
    return run.start_time.timestamp(), run.end_time.timestamp()


def _mail_times(there: Sequence[Sink]) -> tuple[float, float]:
    """When the first and the last message were accepted."""
    to_wall = time.time() - time.monotonic()
    firsts = [sink.first.at for sink in there if sink.first]
    lasts = [sink.last.at for sink in there if sink.last]
    return min(firsts) + to_wall, max(lasts) + to_wall


def _part(begin: float, end: float, used: ProcessorTime, calls: Calls) -> Part:
    requests = [(at - begin, route) for at, route in calls.log if begin <= at < end]
    return Part(end - begin, used.between(begin, end), requests)


def _timeline(title: str, part: Part) -> str:
    """The requests of a part in their order, with the time until the next one."""
    moments = [at for at, _ in part.requests] + [part.seconds]
    lines = [
        f"  {at:6.2f} s  +{after - at:.2f}  {route}"
        for (at, route), (_, after) in zip(part.requests, pairwise(moments), strict=True)
    ]
    return "\n".join([f"{title}:", *lines])


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table of the medians."""
    rows = [
        [
            title,
            *(f"{median(part[key] for part in parts):.2f} s" for key in ("seconds", "processor")),
            round(median(len(part["requests"]) for part in parts)),
        ]
        for title, parts in section["measured"].items()
    ]
    return results.table(["part of a run", "time", "processor time", "requests"], rows)


def aims(measured: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    """Format the targets' rows."""
    rows = []
    for title, parts in measured.items():
        seconds = median(part["seconds"] for part in parts)
        most = _AIMS[title]
        what = f"{_RECIPIENTS:,} recipients, {title}"
        rows.append([what, f"<= {most:g} s", f"{seconds:.2f} s", results.met(seconds <= most)])
    return rows


def run(*, repeat: int = 3, recipients: int = _RECIPIENTS) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured: dict[str, list[Part]] = {title: [] for title in _AIMS}
    with a_prefect_server():
        measure(40)  # the first campaign on a server registers block types, and creates limits
        for _ in range(repeat):
            for title, part in zip(_AIMS, measure(recipients), strict=True):
                measured[title].append(part)
    for title, parts in measured.items():
        print(_timeline(title, parts[-1]))
    section = {
        title: [
            {"seconds": part.seconds, "processor": part.processor, "requests": part.requests}
            for part in parts
        ]
        for title, parts in measured.items()
    }
    print(f"\n{tables({'measured': section})}\n", flush=True)
    results.save("start_and_end", before, measured=section)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_and_end", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--recipients", type=int, default=_RECIPIENTS)
    run(**vars(parser.parse_args()))
