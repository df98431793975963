"""A Prefect server as a child process, stopped at exit."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from types import FrameType
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from deployments.prefect_server.same_origin import known_hosts

LOCAL_API = "http://127.0.0.1:4200/api"
"""The API of the server that `make serve` starts, unless Prefect's settings name another one."""
SETTINGS = {
    # With the default, in memory, concurrency slots stay taken after a restart of the server.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    # The UI calls the host that it was loaded from, under whichever name.
    "PREFECT_SERVER_UI_API_URL": "/api",
}
START_SECONDS = 300  # a server that exits is noticed at once
STOP_SECONDS = 10
_TRIES = 1_000


def free_port() -> int:
    """A TCP port of the loopback interface on which no process listens.

    It is still free when a server binds it some seconds later. It is below the ports of outgoing
    connections (from 49152 by RFC 6335, from 32768 on Linux), and this function gives it only once
    while this process lives, which keeps the UDP port of the same number bound as a mark.

    Raises:
        OSError: No free port was found.
    """
    for _ in range(_TRIES):
        address = ("127.0.0.1", 16_384 + secrets.randbelow(16_384))
        with (
            socket.socket() as probe,
            socket.socket(type=socket.SOCK_DGRAM) as taken,
            suppress(OSError),
        ):
            probe.bind(address)
            taken.bind(address)
            taken.detach()  # stays open
            return address[1]
    raise OSError("no free port of 127.0.0.1 between 16384 and 32767: end what listens there")


def answers(api_url: str) -> bool:
    """Whether a Prefect API answers as healthy within two seconds."""
    try:
        with urlopen(f"{api_url}/health", timeout=2) as reply:  # noqa: S310 - an http address of a known server
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def prefect_server(
    api_url: str, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[None]:
    """Run a Prefect server at `api_url` (http) for the length of a `with` block.

    The server refuses requests of other web sites' pages, see `deployments.prefect_server`.

    Args:
        api_url: The API's address.
        environment: Variables in addition to this process's own.
        log: The file for the server's output; without it the output is dropped.

    Raises:
        RuntimeError: The server does not answer within START_SECONDS.
    """
    address = urlsplit(api_url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    command = [sys.executable, "-m", "deployments.prefect_server", "--host", host]
    own = {"PREFECT_API_URL": api_url, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": _origins(host, port)}
    server = Popen(
        [*command, "--port", str(port)],
        env={**os.environ, **SETTINGS, **own, **(environment or {})},
        stdin=DEVNULL,
        stdout=log or DEVNULL,
        stderr=STDOUT,
        start_new_session=True,  # Ctrl-C must not end the server before the runs that report to it
        umask=0o077,  # the database holds the blocks and their encryption key
    )
    try:
        _wait_until_up(server, api_url)
        yield
    finally:
        stop(server)


def _origins(host: str, port: int) -> str:
    """The UI's addresses in the form of the Origin header."""
    names = sorted(f"[{name}]" if ":" in name else name for name in known_hosts(host))
    return ",".join(f"http://{name}:{port}" for name in names)


def _wait_until_up(server: Popen[bytes], api_url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(api_url):
        if server.poll() is not None:
            raise RuntimeError(
                f"the Prefect server exited at once (exit code {server.returncode}): see its"
                f" messages above. If there are none, is the port of {api_url} in use?"
            )
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the Prefect server at {api_url} does not answer after {START_SECONDS} s"
            )
        time.sleep(0.2)


def exit_on_sigterm() -> None:
    """Make SIGTERM end this process as Ctrl-C does, leaving all `with` blocks in order."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def stop(process: Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End the leader of a session with its children: terminate first, then kill."""
    process.terminate()
    try:
        process.wait(seconds)
    except TimeoutExpired:
        pass
    finally:  # also after a second Ctrl-C
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
