"""Limits of a list: its size, and the time that its download may take."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import BinaryIO

from mailsluice.core.errors import AudienceError

VARIABLE = "MAILSLUICE_LIST_MEGABYTES"
"""The environment variable with the largest size of a list, as downloaded and uncompressed."""
_MEGABYTES = 4_096
LONGEST_SECONDS = 1_800.0
_PIECE = 1 << 20


def most_octets() -> int:
    """Return the largest size of a list, in octets. Raises AudienceError for a wrong setting."""
    text = os.environ.get(VARIABLE) or str(_MEGABYTES)
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise AudienceError(f"{VARIABLE} is no number of megabytes: set it to {_MEGABYTES:,}")
    return int(text) << 20


def copied(pieces: Iterable[bytes], file: BinaryIO) -> int:
    """Write the pieces of a list to a file, within bounds; returns the number of octets.

    Raises AudienceError, without the list's name, when the list is too large or too slow.
    """
    octets, most = 0, most_octets()
    give_up_at = time.monotonic() + LONGEST_SECONDS
    for piece in pieces:
        octets += len(piece)
        if octets > most:
            raise AudienceError(
                f"the list has more than {most >> 20:,} MB: split it, write it as Parquet, or raise"
                f" {VARIABLE} where the worker runs"
            )
        if time.monotonic() > give_up_at:
            raise AudienceError(
                f"the download takes longer than {LONGEST_SECONDS / 60:.0f} minutes: put the list"
                " closer to the worker, or write it as Parquet"
            )
        file.write(piece)
    return octets


def pieces_of(file: BinaryIO) -> Iterable[bytes]:
    """Yield what a file holds, a megabyte at a time."""
    return iter(lambda: file.read(_PIECE), b"")
