"""A recording server in a process of its own; prints its port and runs until it is killed."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvloop

from tests.smtpd.faults import Everybody, fault_of
from tests.smtpd.recording import Received, file_recorder
from tests.smtpd.server import session_factory
from tests.smtpd.settings import ALL_KEYWORDS, Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.smtpd", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--out", type=Path, help="a tab-separated line an accepted message")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--keywords", nargs="*", default=list(ALL_KEYWORDS), help="EHLO's lines")
    parser.add_argument("--messages-per-session", type=int, help="then 421")
    parser.add_argument(
        "--everybody",
        nargs=3,
        metavar=("AFTER", "TIMES", "FAULT"),
        help="after so many messages, so often: a fault as an address carries it",
    )
    arguments = parser.parse_args()
    settings = Settings(
        keywords=tuple(arguments.keywords),
        delay_seconds=arguments.delay,
        messages_per_session=arguments.messages_per_session,
        everybody=_everybody(*arguments.everybody) if arguments.everybody else None,
    )
    record = file_recorder(arguments.out) if arguments.out else _forget
    uvloop.run(serve(arguments.port, settings, record))


def _everybody(after: str, times: str, name: str) -> Everybody:
    fault = fault_of(name)
    assert fault, f"no fault is called {name}"
    return Everybody(int(after), replace(fault, times=int(times)))


def _forget(_: Received) -> None:
    """Speed is all that counts."""


async def serve(port: int, settings: Settings, record: Callable[[Received], None]) -> None:
    loop = asyncio.get_running_loop()
    factory = session_factory(settings, record, Counter())
    server = await loop.create_server(factory, "127.0.0.1", port, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    main()
