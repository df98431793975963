"""A line of the message log, and where lines go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Line(NamedTuple):
    """One line."""

    record_id: str
    """The same whenever the line is written again."""
    type: str
    text: bytes
    """JSON, without a line break."""


class Output(Protocol):
    """An output of a message log: a file or a stream."""

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines; they are safe when this returns.

        Raises OSError or MailsluiceError; then some of the lines may have been written.
        """

    def close(self) -> None:
        """Release the output."""
