"""A file with the leases that a process holds, for as long as it holds them.

A killed process leaves its file behind, unlocked. The next process on this machine releases the
leases in the file at once, instead of waiting until they expire. Processes that send on behalf of
this one inherit the locked file (`descriptor`): a killed run's sessions may still be open there,
so its slots are taken until the last of them has ended. Errors are ignored: where the disk is full
or not writable, the leases expire all the same.
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
    """The leases that this process holds. Never raises."""

    def __init__(self) -> None:
        self._path = _folder() / f"{uuid4().hex}.leases"
        self._api_url = ""
        self._leases: set[UUID] = set()
        self.descriptor: int | None = None
        """The open file, whose lock lasts until this process and all that inherit it have ended;
        None where there is no file."""
        try:
            self.descriptor = _locked(self._path)
        except OSError as error:
            logger.debug("session leases are not written to disk: %s", error)

    def add(self, api_url: str, lease: UUID) -> None:
        """Note a lease of the Prefect server at this address."""
        self._api_url = api_url
        self._leases.add(lease)
        self._write()

    def remove(self, lease: UUID) -> None:
        """Remove a released lease."""
        self._leases.discard(lease)
        self._write()

    def close(self) -> None:
        """Delete the file, unless it contains leases, which the next process may release."""
        if self.descriptor is None:
            return
        if not self._leases:
            with suppress(OSError):
                self._path.unlink()
        os.close(self.descriptor)
        self.descriptor = None

    def _write(self) -> None:
        if self.descriptor is None:
            return
        text = "\n".join([self._api_url, *map(str, self._leases), ""]).encode()
        try:
            os.pwrite(self.descriptor, text, 0)
            os.ftruncate(self.descriptor, len(text))
        except OSError as error:
            logger.debug("session leases are not written to disk: %s", error)


def take_over(api_url: str) -> Iterator[list[UUID]]:
    """Yield the leases of each dead process at this Prefect server, to be released.

    Each file is deleted when the iteration continues, so not where the release has raised.
    """
    for path in _folder().glob("*.leases"):
        with suppress(OSError):
            file = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                first, *leases = path.read_text().split("\n")
                if first in ("", api_url):  # an empty file: the process held no lease yet
                    yield [lease for lease in map(_lease, leases) if lease]
                    path.unlink()
            finally:
                os.close(file)


def _folder() -> Path:
    return home() / "session-leases"


def _locked(path: Path) -> int:
    """Create a file that has its name only when it is locked, so that nobody takes it over."""
    private_folder(path.parent)
    file = private_opener(str(new := path.with_suffix(".new")), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        new.rename(path)
    except OSError:
        os.close(file)
        raise
    return file


def _lease(line: str) -> UUID | None:
    """Parse a lease; None for a line that was cut off."""
    with suppress(ValueError):
        return UUID(line)
    return None
