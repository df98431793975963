"""Choosing the output of a message log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailsluice.core.errors import MailsluiceError
from mailsluice.operations.message_log.file_output import FileOutput, Rotation
from mailsluice.operations.message_log.lines import Output


def open_output(
    file: str, rotation: Rotation, stream: str, most_entries: int, url: Callable[[], str]
) -> tuple[Output, str]:
    """Open a file or a Redis stream; `url` gives the address of the Redis server.

    Returns the output, and the name of its log where the user gives none: each output has a place
    of its own.

    Raises MailsluiceError if there is none or both, or the output cannot be used.
    """
    if bool(file.strip()) is bool(stream.strip()):
        raise MailsluiceError(
            "a message log is written to a file or to a Redis stream: name one of the two"
        )
    if file.strip():
        output = FileOutput(Path(file.strip()), rotation)
        return output, f"file {output.path}"
    from mailsluice.operations.message_log.stream_output import StreamOutput

    return StreamOutput(url(), stream.strip(), most_entries), f"redis {stream.strip()}"
