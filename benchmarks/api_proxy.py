"""A proxy on 127.0.0.1, in a thread, that counts requests and events for a Prefect API."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HOST = "127.0.0.1"
_REQUEST = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/name/)[^/]+|(?<=_limits/)smtp-[^/]+")
_SOCKET = re.compile(rb"\r\nupgrade: *websocket", re.IGNORECASE)


class Calls:
    """Requests by method and path, without ids, and the number of events."""

    def __init__(self) -> None:
        self.log: list[tuple[float, str]] = []
        """When each request began, by the wall clock."""
        self.requests: Counter[str] = Counter()
        self.events = 0

    def request(self, method: bytes, path: bytes) -> None:
        place = path.decode("ascii", "replace").partition("?")[0]
        route = f"{method.decode()} {_ID.sub('*', place)}"
        self.log.append((time.time(), route))
        self.requests[route] += 1


class _Client:
    """Parses what one client sends: HTTP/1.1 requests or WebSocket frames (RFC 6455)."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._is_socket = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if self._is_socket:
            self._frames(data)
            return
        if request := _REQUEST.match(data):  # at the start: a client waits for its reply first
            self._calls.request(request[1], request[2])
            self._is_socket = bool(_SOCKET.search(data))

    def _frames(self, data: bytes) -> None:
        self._rest += data
        while (size := _frame_size(self._rest)) is not None and len(self._rest) >= size:
            self._calls.events += (self._rest[0] & 0x0F) in (1, 2)  # text or binary
            self._rest = self._rest[size:]


def _frame_size(data: bytes) -> int | None:
    """The length of the first frame, once it is known (RFC 6455 section 5.2)."""
    if len(data) < 10:
        return None if len(data) < 2 or data[1] & 0x7F > 125 else 6 + (data[1] & 0x7F)
    short, extended = data[1] & 0x7F, {126: 2, 127: 8}
    width = extended.get(short, 0)
    length = int.from_bytes(data[2 : 2 + width], "big") if width else short
    return 2 + width + 4 + length  # a client masks: four bytes


@contextmanager
def counted(port: int) -> Iterator[tuple[int, Calls]]:
    """Open a port that forwards to this one; yields it with its counts."""
    calls, loop, tasks = Calls(), asyncio.new_event_loop(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(HOST, port)
        client = _Client(calls)
        with suppress(OSError):
            await asyncio.gather(_pump(reader, out, client), _pump(there, writer, None))

    async def start() -> asyncio.Server:
        return await asyncio.start_server(serve, HOST, 0)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            tasks.add(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server.sockets[0].getsockname()[1], calls
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: _Client | None
) -> None:
    try:
        while data := await reader.read(1 << 16):
            if client:
                client.feed(data)
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
