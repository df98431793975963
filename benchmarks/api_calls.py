"""Count a campaign's requests to the Prefect API, by its recipients and its duration.

Counted on the wire, by a proxy in front of the server. The first two campaigns run as fast as they
can; the others take as long as their throttle makes them, which shows the requests that grow with
time.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from benchmarks import results
from benchmarks.api_proxy import counted
from benchmarks.send import LOOPBACK, a_prefect_server, measure
from benchmarks.senders import MAILSLUICE, SENDERS
from benchmarks.sinks import default_kind

_PER_SECOND = 20
SESSIONS = 10


@dataclass(frozen=True, slots=True)
class Size:
    """One campaign over two connections, with ten sessions in all."""

    recipients: int
    per_second: int | None = None

    @property
    def title(self) -> str:
        """The heading of the campaign's column."""
        if self.per_second is None:
            return f"{self.recipients:,} at once"
        return f"{self.recipients:,} in {self.recipients // self.per_second} s"


SIZES = (
    Size(1_000),
    Size(10_000),
    *(Size(seconds * _PER_SECOND, _PER_SECOND) for seconds in (10, 60)),
)
LARGE = Size(100_000)
_WARM_UP = Size(40)
"""A campaign that is not counted, since the first one on a server registers the block types."""
_KINDS = {
    "GET /api/v2/concurrency_limits/*": "limits of sessions read",
    "POST /api/v2/concurrency_limits/leases/*/renew": "leases of sessions renewed",
    "POST /api/v2/concurrency_limits/increment-with-lease": "slots taken and given back",
    "POST /api/v2/concurrency_limits/decrement-with-lease": "slots taken and given back",
    "PATCH /api/artifacts/*": "progress shown",
    "GET /api/block_types/slug/smtp-connection/block_documents/name/*": "blocks read",
    "GET /api/flow_runs/*": "states of runs read",
    "POST /api/logs/": "batches of log lines",
}
_OTHERS = "all others"


def count(size: Size) -> dict[str, Any]:
    """Send one campaign; returns the requests that it made."""
    (sender,) = (one for one in SENDERS if one.name == MAILSLUICE)
    straight = os.environ["PREFECT_API_URL"]
    point = replace(LOOPBACK, sink=default_kind(), sessions=SESSIONS)
    with counted(urlsplit(straight).port or 80) as (port, calls):
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        try:
            done = measure(point, sender, size.recipients, size.per_second)
        finally:
            os.environ["PREFECT_API_URL"] = straight
    return {
        "title": size.title,
        "seconds": done.told["whole_flow_seconds"],
        "requests": dict(calls.requests.most_common()),
        "events": calls.events,
    }


def by_kind(requests: Mapping[str, int]) -> dict[str, int]:
    """Count requests by purpose, in the order of the table."""
    kinds = Counter(dict.fromkeys([*_KINDS.values(), _OTHERS], 0))
    for route, number in requests.items():
        kinds[_KINDS.get(route, _OTHERS)] += number
    return dict(kinds)


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table with a column for each campaign."""
    measured = section["measured"]
    kinds = [by_kind(one["requests"]) for one in measured]
    rows = [[kind, *(of_one[kind] for of_one in kinds)] for kind in kinds[0]]
    rows.append(["requests", *(sum(of_one.values()) for of_one in kinds)])
    rows.append(["events", *(one["events"] for one in measured)])
    rows.append(["whole flow", *(f"{one['seconds']:.1f} s" for one in measured)])
    return results.table(["one campaign", *(one["title"] for one in measured)], rows)


def run(*, sizes: Sequence[Size] = SIZES, large: bool = False) -> None:
    """Count, print and save."""
    before = results.machine()
    with a_prefect_server():
        count(_WARM_UP)
        measured = [count(size) for size in [*sizes, *([LARGE] if large else [])]]
    print(f"{tables({'measured': measured})}\n", flush=True)
    results.save("api_calls", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api_calls", description=__doc__)
    parser.add_argument("--messages", type=int, help="one campaign of so many, at once")
    parser.add_argument("--large", action="store_true", help="10^5 as well")
    arguments = parser.parse_args()
    chosen = [Size(arguments.messages)] if arguments.messages else SIZES
    run(sizes=chosen, large=arguments.large)
