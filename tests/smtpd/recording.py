"""What a test server has accepted."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(rb"^subject:[ \t]*(.*?)\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Received:
    """An accepted message."""

    sender: str
    recipient: str
    content: bytes
    """With the dots unstuffed, without the final one."""
    time: float
    """When its final dot had come, on the monotonic clock (one for all processes of a machine)."""
    session: int
    """Counted from 1."""
    parameters: str = ""
    """What followed the address in MAIL."""

    @property
    def _header(self) -> bytes:
        return self.content.partition(b"\r\n\r\n")[0]

    @property
    def message_id(self) -> str:
        match = _MESSAGE_ID.search(self._header)
        return match[1].decode() if match else ""

    @property
    def subject(self) -> str:
        match = _SUBJECT.search(self._header)
        return match[1].decode("utf-8", "replace") if match else ""

    def line(self) -> bytes:
        """Tab-separated: recipient, time, session, Message-ID, subject as on the wire."""
        fields = (self.recipient, f"{self.time:.6f}", str(self.session))
        return "\t".join((*fields, self.message_id, self.subject)).encode() + b"\n"


def most_in_a_second(messages: Iterable[Received]) -> int:
    """The most messages in any trailing second."""
    return most_in(1.0, (one.time for one in messages))


def most_in(seconds: float, times: Iterable[float]) -> int:
    """The most of these moments in any trailing window of so many seconds."""
    moments = sorted(times)
    return max(i + 1 - bisect_right(moments, at - seconds) for i, at in enumerate(moments))


def file_recorder(path: Path) -> Callable[[Received], None]:
    """Appends a line a message, in the system's hands at once: survives a killed server."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def record(received: Received) -> None:
        os.write(descriptor, received.line())

    return record
