"""The leases that a process holds, on disk for as long as it does.

A killed process leaves its file behind, unlocked. The next one on this machine releases what it
finds there at once, instead of waiting until the leases expire. A courtesy: where the disk is full
or not ours, the leases expire all the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from mailsluice.core.private import private_folder, private_opener
from mailsluice.store import home

logger = logging.getLogger(__name__)


class LeaseFile:
    """The leases of one connection that this process holds. Never raises."""

    def __init__(self) -> None:
        self._path = _folder() / f"{uuid4().hex}.leases"
        self._file: int | None = None
        self._api_url = ""
        self._leases: set[UUID] = set()

    def add(self, api_url: str, lease: UUID) -> None:
        """Note a lease of the Prefect server at this address."""
        self._api_url = api_url
        self._leases.add(lease)
        self._write()

    def remove(self, lease: UUID) -> None:
        """It is released."""
        self._leases.discard(lease)
        self._write()

    def close(self) -> None:
        """Delete the file, unless leases are left in it: then the next process may release them."""
        if self._file is None:
            return
        if not self._leases:
            with suppress(OSError):
                self._path.unlink()
        os.close(self._file)
        self._file = None

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = _locked(self._path)
            text = "\n".join([self._api_url, *map(str, self._leases), ""]).encode()
            os.pwrite(self._file, text, 0)
            os.ftruncate(self._file, len(text))
        except OSError as error:
            logger.debug("session leases are not noted on disk: %s", error)


def take_over(api_url: str) -> Iterator[list[UUID]]:
    """The leases that dead processes held at this Prefect server, and may be released now.

    A file goes away when the next is asked for: not where releasing has raised.
    """
    for path in _folder().glob("*.leases"):
        with suppress(OSError):
            file = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                first, *leases = path.read_text().split("\n")
                if first == api_url:
                    yield [lease for lease in map(_lease, leases) if lease]
                    path.unlink()
            finally:
                os.close(file)


def _folder() -> Path:
    return home() / "session-leases"


def _locked(path: Path) -> int:
    private_folder(path.parent)
    file = private_opener(str(path), os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _lease(line: str) -> UUID | None:
    """None for a line that was cut short."""
    with suppress(ValueError):
        return UUID(line)
    return None
