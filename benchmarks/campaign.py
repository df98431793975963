"""Sends one campaign by the real flow; prints what the engine reports. A child of `send`.

PREFECT_API_URL names a running server, MAILSLUICE_HOME an empty folder.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benchmarks import document
from benchmarks.processes import peak_mb
from mailsluice.reports.campaign import Report

_SAMPLE_SECONDS = 0.1


class ThreadTimes:
    """Measure the CPU seconds of each named thread in the `with` block (Linux only)."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="thread-times", daemon=True)

    def __enter__(self) -> ThreadTimes:
        self._before = dict(_thread_seconds())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(_SAMPLE_SECONDS):
            for name, seconds in _thread_seconds():
                self.seconds[name] = seconds - self._before.get(name, 0.0)


def _thread_seconds() -> Iterator[tuple[str, float]]:
    for thread in threading.enumerate():
        path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
        try:
            yield thread.name, int(path.read_text("ascii").split()[0]) / 1e9
        except OSError:  # it has just ended, or there is no such file here
            continue


async def send(task: dict[str, Any]) -> dict[str, Any]:
    """Save a connection for each port, run the flow, and return its own figures."""
    from prefect.logging.handlers import APILogHandler

    from blocks import CampaignForm, SMTPConnection
    from flows.send_campaign import send_campaign

    ports = task["ports"]
    names = [f"bench-{number}" for number in range(len(ports))]
    for i, (name, port) in enumerate(zip(names, ports, strict=True)):
        block = SMTPConnection(
            host="127.0.0.1",
            port=port,
            security="tls" if task["ca"] else "none",
            ca_file=task["ca"],
            max_sessions=(task["sessions"] + i) // len(ports),
            messages_in_flight=task["in_flight"],
        )
        await block.save(name, overwrite=True)
    fields = document.campaign(
        f"bench {time.time_ns()}",
        task["messages"],
        task["size"],
        names,
        is_newsletter=task["is_newsletter"],
    )
    if task["per_second"]:
        fields["throttle"] = {"per_second": task["per_second"]}
    if task["is_mixed"]:
        fields["retry"] = {"first_delay_seconds": 1, "max_delay_seconds": 2}
    started, cpu = time.monotonic(), time.process_time()
    with ThreadTimes() as threads:
        report = cast("Report", await send_campaign(CampaignForm(**fields)))
    whole, spent = time.monotonic() - started, time.process_time() - cpu
    await APILogHandler.aflush()
    seconds = max(route.seconds for route in report.routes)
    return {
        "sent": report.sent_now,
        "engine_per_second": report.sent_now / seconds,
        "seconds": seconds,
        "whole_flow_seconds": whole,
        "cpu_seconds": spent,
        "cpu_us_per_message": {
            name: used * 1e6 / report.sent_now for name, used in sorted(threads.seconds.items())
        },
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    print("\n" + json.dumps(asyncio.run(send(json.loads(sys.argv[1])))))
