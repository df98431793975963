"""How often a campaign asks the Prefect API: that must not depend on its recipients.

Counted on the wire, by a proxy in front of the server. What depends on time is told apart: the
run's state is read when an event tells that it changed, and every 30 seconds, the limit of its
sessions every three, progress is shown every five, and leases are renewed; log lines are sent in
batches. The others depend on connections and sessions.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from benchmarks import results
from benchmarks.api_proxy import counted
from benchmarks.send import LOOPBACK, a_prefect_server, measure
from benchmarks.senders import MAILSLUICE, SENDERS
from benchmarks.sinks import default_kind

COUNTS = (1_000, 10_000)
LARGE_COUNT = 100_000
_WARM_UP = 40
"""The first campaign on a server registers the block types: that is not counted."""
_POLLS = (
    "GET /api/flow_runs/*",
    "GET /api/v2/concurrency_limits/*",
    "POST /api/v2/concurrency_limits/leases/*/renew",
    "PATCH /api/artifacts/*",
)
_LOGS = "POST /api/logs/"


def count(recipients: int) -> dict[str, Any]:
    """Send one campaign; gives what was asked for."""
    (sender,) = (one for one in SENDERS if one.name == MAILSLUICE)
    straight = os.environ["PREFECT_API_URL"]
    with counted(urlsplit(straight).port or 80) as (port, calls):
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        try:
            done = measure(replace(LOOPBACK, sink=default_kind()), sender, recipients)
        finally:
            os.environ["PREFECT_API_URL"] = straight
    return {
        "recipients": recipients,
        "seconds": done.told["whole_flow_seconds"],
        "requests": dict(calls.requests.most_common()),
        "events": calls.events,
    }


def apart(requests: Mapping[str, int]) -> dict[str, int]:
    """Requests, those that depend on time told apart."""
    polls, logs = sum(requests.get(one, 0) for one in _POLLS), requests.get(_LOGS, 0)
    return {"polls": polls, "logs": logs, "others": sum(requests.values()) - polls - logs}


def tables(section: dict[str, Any]) -> str:
    """A markdown table."""
    rows = []
    for one in section["measured"]:
        kinds = apart(one["requests"])
        rows.append(
            [
                f"{one['recipients']:,} recipients",
                f"{one['seconds']:.1f} s",
                kinds["others"],
                kinds["polls"],
                kinds["logs"],
                one["events"],
            ]
        )
    head = ["one campaign", "whole flow", "requests", "polls", "log batches", "events"]
    return results.table(head, rows)


def run(*, messages: int | None = None, large: bool = False) -> None:
    """Count, print and save."""
    before = results.machine()
    counts = [messages] if messages else [*COUNTS, *([LARGE_COUNT] if large else [])]
    with a_prefect_server():
        count(_WARM_UP)
        measured = [count(recipients) for recipients in counts]
    print(f"{tables({'measured': measured})}\n", flush=True)
    results.save("api_calls", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api_calls", description=__doc__)
    parser.add_argument("--messages", type=int, help="recipients, instead of 10^3 and 10^4")
    parser.add_argument("--large", action="store_true", help="10^5 as well")
    arguments = parser.parse_args()
    run(messages=arguments.messages, large=arguments.large)
