"""`asyncio.create_subprocess_exec`, for an interpreter whose start takes most of its time."""

from __future__ import annotations

import asyncio
import os

from tests.forked.process import Forked


class ForkedProcess:
    """Does as `asyncio.subprocess.Process`, with pipes for standard input and output."""

    def __init__(
        self, forked: Forked, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader
    ) -> None:
        self._forked = forked
        self.stdin = stdin
        self.stdout = stdout
        self.pid = forked.pid

    @property
    def returncode(self) -> int | None:
        return self._forked.poll()

    def kill(self) -> None:
        """Kill the process.

        Raises:
            ProcessLookupError: It has ended.
        """
        if self.returncode is not None:
            raise ProcessLookupError
        self._forked.kill()

    async def wait(self) -> int:
        """Wait for the end; returns the exit status."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._forked.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._forked.sentinel)
        return self._forked.wait()


async def create_forked_exec(*command: str, **_: object) -> ForkedProcess:
    """Start a fork instead of the interpreter that the command names."""
    for_child, ours = os.pipe()
    output, for_output = os.pipe()
    forked = Forked(command, env=os.environ, stdin=for_child, stdout=for_output, stderr=None)
    os.close(for_child)
    os.close(for_output)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(output, "rb")
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(ours, "wb")
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    return ForkedProcess(forked, writer, reader)
