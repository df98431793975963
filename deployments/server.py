"""A Prefect server of our own: started as a child process, stopped at exit."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from deployments.prefect_server.same_origin import known_hosts

LOCAL_API = "http://127.0.0.1:4200/api"
"""Where `make serve` starts its server, unless Prefect is set up for another one."""
SETTINGS = {
    # In memory, the default, concurrency slots stay taken after the server's restart.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    # The UI asks the host that it came from, whichever of its names that is.
    "PREFECT_SERVER_UI_API_URL": "/api",
}
START_SECONDS = 300  # a server that has died is noticed at once
STOP_SECONDS = 10


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on now.

    Below those that outgoing connections take for themselves (49152 and up by RFC 6335, 32768 and
    up on Linux): it is still free when a server has taken its seconds to start.
    """
    while True:
        port = 16_384 + secrets.randbelow(16_384)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def answers(api_url: str) -> bool:
    """Whether a Prefect API is healthy there, within two seconds."""
    try:
        with urlopen(f"{api_url}/health", timeout=2) as reply:  # noqa: S310 - our own http address
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def prefect_server(
    api_url: str, environment: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[None]:
    """Run a Prefect server at `api_url` (http) for the length of a `with` block.

    The server answers no page of another web site: see `deployments.prefect_server`. `environment`
    adds to the process's own; without a `log` file the server's output is dropped.
    Raises RuntimeError where it does not come up within START_SECONDS.
    """
    address = urlsplit(api_url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    command = [sys.executable, "-m", "deployments.prefect_server", "--host", host]
    own = {"PREFECT_API_URL": api_url, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": _origins(host, port)}
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        env={**os.environ, **SETTINGS, **own, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is ours: the server outlives the runs that report to it
        umask=0o077,  # its database holds the blocks, and the key that they are encrypted with
    )
    try:
        _wait_until_up(server, api_url)
        yield
    finally:
        stop(server)


def _origins(host: str, port: int) -> str:
    """The UI's own addresses, as browsers name them in the header Origin."""
    names = sorted(f"[{name}]" if ":" in name else name for name in known_hosts(host))
    return ",".join(f"http://{name}:{port}" for name in names)


def _wait_until_up(server: subprocess.Popen[bytes], api_url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(api_url):
        if server.poll() is not None:
            raise RuntimeError(
                f"the Prefect server ended at once (exit code {server.returncode}): is the port of "
                f"{api_url} taken? Run `python -m deployments.prefect_server` to see what it says"
            )
        if time.monotonic() > deadline:
            raise RuntimeError(f"the Prefect server at {api_url} is not up after {START_SECONDS} s")
        time.sleep(0.2)


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, with all `with` blocks left in order."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End a process that leads its own session, with its children: asked first, then killed."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:  # a second Ctrl-C included
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
