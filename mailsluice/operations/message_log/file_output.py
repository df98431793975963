"""A message log in a file that is rotated: NDJSON, one line a record.

The file is for its owner alone. Lines are on the disk before the log's place moves. After a crash a
line may be cut short: it is removed, and written again as a whole.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.files import FileError, writable
from mailsluice.core.private import private_file, warn_of_open
from mailsluice.operations.message_log.lines import Line

_BLOCK_OCTETS = 1 << 16
_COMPRESSED, _UNFINISHED = ".gz", ".unfinished"


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is renamed and a new one begun, and what becomes of the old ones."""

    max_bytes: int = 256 << 20
    """A file has at most this size, unless a single write is larger."""
    period_seconds: int = 86_400
    """A file has lines of one such period, counted from the epoch in UTC."""
    keep: int = 30
    """Old files that are kept; 0: all of them."""
    compress: bool = False
    """Whether old files are compressed (gzip)."""

    def __post_init__(self) -> None:
        if self.max_bytes < 1 or self.period_seconds < 1 or self.keep < 0:
            raise MailsluiceError(
                "a message log's file needs a size and a period above 0, and old files are kept or,"
                " with 0, never deleted: correct the number"
            )


class FileOutput:
    """Appends lines to a file.

    Old files have the time of their rotation in their name: `messages-20261127T103000Z.ndjson`.

    Raises:
        MailsluiceError: The path may not be used, or another process writes the file.
        OSError: The file cannot be written.
    """

    def __init__(
        self, path: Path, rotation: Rotation, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = _checked(path)
        """The file, with every link followed."""
        self._rotation = rotation
        self._clock = clock
        self._lock = _locked(self.path)
        self._file = -1
        try:
            self._open()
            self._tidy()
        except BaseException:
            self.close()
            raise

    def write(self, lines: Sequence[Line]) -> None:
        """Append lines, and wait until they are on the disk. A failed write leaves none of them."""
        text = b"".join(line.text + b"\n" for line in lines)
        before = os.fstat(self._file).st_size
        if before and self._is_due(before + len(text)):
            self._rotate()
            before = 0
        try:
            _write_all(self._file, text)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, before)
            error.filename = str(self.path)
            raise

    def close(self) -> None:
        """Close the file, and let other processes write it."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _open(self) -> None:
        private_file(self.path)
        warn_of_open([self.path])
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self.path, flags)
        _sync_folder(self.path.parent)
        self._remove_cut_line()

    def _remove_cut_line(self) -> None:
        """Cut the file after its last line break: what follows was not written as a whole."""
        size = os.fstat(self._file).st_size
        end = size
        while end > 0:
            start = max(0, end - _BLOCK_OCTETS)
            found = os.pread(self._file, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)
            os.fsync(self._file)

    def _is_due(self, size: int) -> bool:
        period = self._rotation.period_seconds
        written_at = os.fstat(self._file).st_mtime
        is_of_now = int(written_at // period) == int(self._clock() // period)
        return size > self._rotation.max_bytes or not is_of_now

    def _rotate(self) -> None:
        os.close(self._file)
        self._file = -1
        self.path.rename(self._old_name())
        self._open()
        self._tidy()

    def _old_name(self) -> Path:
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%dT%H%M%SZ")
        number, taken = 0, {path.name for path in self._old()}
        while True:
            more = f"-{number:04}" if number else ""
            name = f"{self.path.stem}-{moment}{more}{self.path.suffix}"
            if name not in taken and f"{name}{_COMPRESSED}" not in taken:
                return self.path.with_name(name)
            number += 1

    def _old(self) -> list[Path]:
        """Old files, the oldest first."""
        start, end = f"{self.path.stem}-", (self.path.suffix, self.path.suffix + _COMPRESSED)
        return sorted(
            path
            for path in self.path.parent.iterdir()
            if path.name.startswith(start) and _is_stamped(path.name[len(start) :], end)
        )

    def _tidy(self) -> None:
        """Compress old files, where that is wanted, and delete those that are too many."""
        for path in self.path.parent.glob(f".{self.path.stem}-*{_UNFINISHED}"):
            path.unlink()
        old = self._old()
        if self._rotation.compress:
            old = [_compressed(path) for path in old]
        if self._rotation.keep:
            for path in old[: -self._rotation.keep]:
                path.unlink()


def _checked(path: Path) -> Path:
    try:
        path = writable(path)
    except FileError as error:
        raise MailsluiceError(f"the message log cannot be written to {path}: {error}") from None
    if not path.parent.is_dir():
        raise MailsluiceError(
            f"there is no folder {path.parent} for the message log: create it, or mount its disk"
        )
    if path.exists() and not path.is_file():
        raise MailsluiceError(f"{path} is not a regular file: give the message log another path")
    return path


def _locked(path: Path) -> int:
    """Lock the file by a file beside it, since the file itself is renamed."""
    beside = path.with_name(f".{path.name}.lock")
    private_file(beside)
    lock = os.open(beside, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise MailsluiceError(
            f"another process writes the message log {path}: leave it to that one, or give another"
            " path and another name"
        ) from None
    return lock


def _is_stamped(text: str, ends: tuple[str, str]) -> bool:
    """Whether a file's name continues with a timestamp, as that of a rotated file does."""
    end = next((end for end in reversed(ends) if text.endswith(end)), None)
    return end is not None and text[:8].isdigit() and text[8:9] == "T"


def _write_all(file: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compressed(path: Path) -> Path:
    """Compress a file, and return the name that it has then."""
    if path.suffix == _COMPRESSED:
        return path
    target = path.with_name(path.name + _COMPRESSED)
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    private_file(unfinished)
    with path.open("rb") as source, unfinished.open("wb") as raw:
        with gzip.GzipFile(path.name, "wb", fileobj=raw) as packed:
            shutil.copyfileobj(source, packed, _BLOCK_OCTETS)
        raw.flush()
        os.fsync(raw.fileno())
    unfinished.rename(target)
    _sync_folder(path.parent)
    path.unlink()
    return target
