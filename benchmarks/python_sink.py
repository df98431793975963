"""The tests' SMTP server as a sink, for TLS and BDAT; counts on its output as smtp-sink does."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections import Counter
from collections.abc import Callable

import uvloop

from tests.smtpd import Received, Settings
from tests.smtpd.server import session_factory
from tests.smtpd.settings import ALL_KEYWORDS

_COUNT_SECONDS = 0.005


class Count:
    """Counts the accepted messages."""

    def __init__(self) -> None:
        self.messages = 0

    def record(self, _: Received) -> None:
        self.messages += 1


async def show(count: Callable[[], int]) -> None:
    """Print a count whenever it has changed."""
    shown = 0
    while True:
        await asyncio.sleep(_COUNT_SECONDS)
        if count() != shown:
            shown = count()
            print(f"mesg={shown}", end="\r", flush=True)


async def serve(port: int, certificate: str | None) -> None:
    """Listen on 127.0.0.1 until killed, with TLS from the first byte if there is a certificate."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    count = Count()
    settings = Settings(
        keywords=(*ALL_KEYWORDS, "CHUNKING"), tls=context, tls_from_start=context is not None
    )
    make = session_factory(settings, count.record, Counter())
    loop = asyncio.get_running_loop()
    await loop.create_server(make, "127.0.0.1", port, backlog=1_000, ssl=context)
    await show(lambda: count.messages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.python_sink", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--certificate", help="PEM file with key and certificate")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.certificate))
