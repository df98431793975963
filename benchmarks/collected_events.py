"""Measure how events are fetched from an API, by a process that is killed; check every delivery.

    python -m benchmarks.collected_events --events 100000 --kills 2

A server in this process lists the events as Mailgun's Events API does, in pages of 300, in any
order. A process of its own fetches them; it is killed by SIGKILL and started again. What is stored
at the end has to equal what the rules make of the events.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from pydantic import SecretStr

from benchmarks.databases import KINDS, database
from benchmarks.events import differences, make_events
from mailsluice.campaign.identity import Provider
from mailsluice.events.batch import batch_of
from mailsluice.events.providers.mailgun import event_of
from mailsluice.events.pulled.account import EventAccount, EventsApi
from mailsluice.operations.events.collecting import collect
from mailsluice.store import Database, event_cursors

_PER_PAGE = 300
_DOMAIN = "mg.example.com"
_WORDS = {
    "deferred": {"event": "failed", "severity": "temporary"},
    "bounced": {"event": "failed", "severity": "permanent"},
}


def as_mailgun(event: dict[str, Any]) -> dict[str, Any]:
    """Write an event of `make_events` in Mailgun's form."""
    code, _, words = event["reply"].partition(" ")
    return {
        **_WORDS.get(event["state"], {"event": event["state"]}),
        "id": event["key"],
        "timestamp": event["at"],
        "user-variables": {"mailsluice": event["token"]},
        "delivery-status": {"code": int(code), "message": words},
    }


@contextmanager
def listing(
    items: Sequence[dict[str, Any]], reached: threading.Event, at: list[int]
) -> Iterator[str]:
    """Serve pages with these events; sets `reached` when a page is asked for that is in `at`."""
    pages = [items[start : start + _PER_PAGE] for start in range(0, len(items), _PER_PAGE)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, name = self.path.partition("/events/")
            number = int(name or 0)
            following = f"{url}/v3/{_DOMAIN}/events/{number + 1}"
            found = pages[number] if number < len(pages) else []
            body = orjson.dumps({"items": found, "paging": {"next": following}})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if at and number >= at[0]:
                at.pop(0)
                reached.set()

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def measure(kind: str, number: int, kills: int, seed: int) -> dict[str, Any]:
    """Fetch the events, and check what is stored."""
    chosen = random.Random(seed)
    with database(kind) as database_url, Database(database_url) as opened:
        items = [as_mailgun(event) for event in make_events(opened, number, chosen)]
        chosen.shuffle(items)
        last, reached = number // _PER_PAGE, threading.Event()
        with listing(
            items, reached, [last * nth // (kills + 1) for nth in range(1, kills + 1)]
        ) as url:
            begun, killed = time.monotonic(), 0
            command = [sys.executable, "-m", "benchmarks.collected_events", "--collect", url]
            environment = os.environ | {"MAILSLUICE_DATABASE_URL": database_url}
            while True:
                reached.clear()
                process = subprocess.Popen(command, env=environment)
                while process.poll() is None and not reached.wait(0.02):
                    pass
                if not reached.is_set():
                    break
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            seconds = time.monotonic() - begun
        used = os.times()
        return {
            "database": kind,
            "events": number,
            "kills": killed,
            "per_second": round(number / seconds),
            "processor_seconds_of_children_so_far": round(
                used.children_user + used.children_system, 1
            ),
            "differences": differences(opened, batch_of(items, event_of).events),
        }


def fetch(url: str) -> None:
    """Fetch all events, as collect-events does, without waiting for a killed run's window."""
    event_cursors.BUSY_SECONDS = -1.0
    api = EventsApi(key=SecretStr("key"), domain=_DOMAIN, url=url)
    account = EventAccount("relay", Provider.MAILGUN, api)
    with Database() as opened:
        done = collect([account], opened, most_pages=10**9, pause=lambda _: True)
    print(done.summary(), *done.troubles())


def main() -> None:
    """Measure, or fetch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--collect", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.collect:
        fetch(given.collect)
        return
    for kind in given.databases:
        print(orjson.dumps(measure(kind, given.events, given.kills, given.seed)).decode())


if __name__ == "__main__":
    main()
