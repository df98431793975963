"""A TCP proxy that makes loopback as long as a real link: `python -m benchmarks.delay_proxy`.

Every byte is held back for half a round trip each way, in order, without a limit on throughput.
Prints the port it listens on for each target port, in a line, and runs until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvloop

from benchmarks.processes import module

HOST = "127.0.0.1"
_EARLY_SECONDS = 0.0005
"""The loop's timers have steps of a millisecond; half a step early is right on average."""


class DelayLine:
    """Delays calls by the same time, and so in order, with one queue and one timer."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()

    def later(self, action: Callable[[], None]) -> None:
        if not self._queue:
            self._loop.call_later(self._seconds, self._run)
        self._queue.append((time.monotonic() + self._seconds, action))

    def _run(self) -> None:
        now = time.monotonic() + _EARLY_SECONDS
        while self._queue and self._queue[0][0] <= now:
            self._queue.popleft()[1]()
        if self._queue:
            self._loop.call_later(max(0.0, self._queue[0][0] - now), self._run)


class End(asyncio.Protocol):
    """One end of a proxied connection, which forwards to the other end with a delay."""

    def __init__(self, line: DelayLine, other: End | None = None) -> None:
        self._line = line
        self._other = other
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[Any] | None = None
        self.transport: asyncio.Transport | None = None

    @classmethod
    def accepting(cls, line: DelayLine, target: int) -> End:
        """The client's end, which connects to the target when a client connects."""
        end = cls(line)
        other = end._other = cls(line, end)
        loop = asyncio.get_running_loop()
        end._connecting = loop.create_task(loop.create_connection(lambda: other, HOST, target))
        return end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self.write(data)

    def data_received(self, data: bytes) -> None:
        assert self._other is not None
        self._line.later(partial(self._other.write, data))

    def connection_lost(self, _: Exception | None) -> None:
        assert self._other is not None
        self._line.later(self._other.close)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


async def serve(targets: Sequence[int], seconds: float) -> None:
    """Listen for each target and forward until cancelled."""
    loop, line = asyncio.get_running_loop(), DelayLine(seconds)
    servers = [
        await loop.create_server(partial(End.accepting, line, target), HOST, 0, backlog=1_000)
        for target in targets
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


@contextmanager
def delayed(ports: Sequence[int], round_trip_seconds: float) -> Iterator[Sequence[int]]:
    """Open ports that forward to these with a delay; the same ports where the delay is 0."""
    if not round_trip_seconds:
        yield ports
        return
    command = module("benchmarks.delay_proxy", "--delay", round_trip_seconds / 2, *ports)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.kill()


def round_trip(port: int, times: int = 20) -> float:
    """How long a NOOP to an SMTP server takes, in seconds: the median of several."""
    taken = []
    with socket.create_connection((HOST, port)) as link, link.makefile("rb") as replies:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies.readline()
        for _ in range(times):
            asked = time.monotonic()
            link.sendall(b"NOOP\r\n")
            replies.readline()
            taken.append(time.monotonic() - asked)
    return sorted(taken)[times // 2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delay_proxy", description=__doc__)
    parser.add_argument("ports", type=int, nargs="+", help="of the servers, on 127.0.0.1")
    parser.add_argument("--delay", type=float, default=0.025, help="seconds each way")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.ports, arguments.delay))


if __name__ == "__main__":
    main()
