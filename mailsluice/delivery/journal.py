"""The local journal: which of the claimed messages may have reached a server.

The outbox commits in groups; between two commits a crash would leave every claimed recipient in
doubt. This memory-mapped file is written, without a system call, right before a message's final dot
and right after its reply. It survives the process (the pages are the kernel's), not the machine:
after a reboot it is not believed. So after a `kill -9` only messages whose dot was out and whose
reply was not read are uncertain.

The file names itself (device and inode), so a copy that somebody has put in its place, say from a
backup, is not believed either: it may be older.

A slot holds one message on its way (id, state, check sum); it is free again when the outbox has
committed the outcome, so the file stays as small as what is in flight.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from mailsluice.core.errors import JournalError
from mailsluice.core.private import private_folder, private_opener

_MAGIC = b"MSLJ0001"
_HEADER = struct.Struct("<8s32s36sQQ")  # magic, journal id, boot id, device and inode
_HEADER_BYTES = 128
_SLOT = struct.Struct("<qiI")  # recipient id, state, check sum of both
_BODY = struct.Struct("<qi")
_CHECK = struct.Struct("<I")
_EMPTY = bytes(_SLOT.size)
_DOT = -1
_SLOTS = 4096
_UNKNOWN = (0, 0)
"""The file, in a journal of before it was noted."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalBusyError(JournalError):
    """A living process on this machine holds the journal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the journal {path} is held by another process of this machine")


@dataclass(frozen=True, slots=True)
class JournalContents:
    """What the journal of a dead run knows."""

    journal_id: str
    replies: Mapping[int, int | None]
    """Recipient id to the code of the reply to its message; None: the dot was out, no reply read.
    Who is not in here never had a dot written."""


class Journal:
    """The journal of one campaign on this machine, held by one process at a time.

    Raises JournalBusyError where a living process holds it, JournalError where nobody can write it.
    """

    def __init__(self, path: Path, journal_id: str = "") -> None:
        """`journal_id` is 32 characters; by default new ones."""
        self._path = path
        with self._writable():
            private_folder(path.parent)
            self._file = private_opener(str(path), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JournalBusyError(path) from None
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        self.is_own_file = _file(data) in (self._identity, _UNKNOWN)
        """Whether the last run held this very file; else somebody has put another in its place."""
        self.evidence = _read(data) if self.is_own_file else None
        """What the last run left; None where it cannot be believed."""
        self.id = journal_id or uuid4().hex
        self._map: mmap.mmap | None = None
        self._slots: dict[int, int] = {}
        self._free: list[int] = []

    def start(self) -> None:
        """Begin anew, for the claims of this run. What the last one left is gone from here on."""
        with self._writable():
            os.ftruncate(self._file, 0)
        self._grow()
        header = _HEADER.pack(_MAGIC, self.id.encode(), _boot_id(), *self._identity)
        self._data[: _HEADER.size] = header
        os.fsync(self._file)

    def dot(self, recipient_id: int) -> None:
        """The final dot of this recipient's message is about to be written."""
        offset = self._slots.get(recipient_id)
        if offset is None:  # else it was answered "not now", and goes again
            if not self._free:
                self._grow()
            offset = self._slots[recipient_id] = self._free.pop()
        self._write(offset, recipient_id, _DOT)

    def reply(self, recipient_id: int, code: int) -> None:
        """The server answered the message with this code."""
        self._write(self._slots[recipient_id], recipient_id, code)

    def forget(self, recipient_ids: Iterable[int]) -> None:
        """The outbox has committed what became of these."""
        for recipient_id in recipient_ids:
            offset = self._slots.pop(recipient_id, None)
            if offset is not None:
                self._data[offset : offset + _SLOT.size] = _EMPTY
                self._free.append(offset)

    def so_far(self) -> JournalContents | None:
        """What this journal knows of this run."""
        return _read(self._data[:])

    def close(self) -> None:
        """Let go of the journal; another run may take it."""
        if self._map is not None:
            self._map.close()
        os.close(self._file)

    @property
    def file(self) -> str:
        """The identity of the open file: another file of the same name has another one."""
        device, inode = self._identity
        return f"{device}:{inode}"

    @property
    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self._file)
        return found.st_dev, found.st_ino

    @property
    def _data(self) -> mmap.mmap:
        if self._map is None:
            raise RuntimeError("the journal has not been started")
        return self._map

    def _write(self, offset: int, recipient_id: int, state: int) -> None:
        body = _BODY.pack(recipient_id, state)
        # In one piece: a kill must not leave half a slot.
        self._data[offset : offset + _SLOT.size] = body + _CHECK.pack(zlib.crc32(body))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"the journal {self._path} cannot be written ({error.strerror}): nothing is sent"
                " without it. Make room there or make the folder writable, or set MAILSLUICE_HOME"
                " to a folder that is, then run it again"
            ) from error

    def _grow(self) -> None:
        old = os.fstat(self._file).st_size or _HEADER_BYTES
        new = old + _SLOTS * _SLOT.size
        with self._writable():
            os.posix_fallocate(self._file, 0, new)  # a full disk must not show as a SIGBUS later
        if self._map is not None:
            self._map.close()
        self._map = mmap.mmap(self._file, new)
        self._free.extend(range(new - _SLOT.size, old - 1, -_SLOT.size))


def _file(data: bytes) -> tuple[int, int] | None:
    """The file that the last run held; None where nothing tells it."""
    if len(data) < _HEADER_BYTES:
        return None
    _, _, _, device, inode = _HEADER.unpack_from(data)
    return device, inode


def _read(data: bytes) -> JournalContents | None:
    if len(data) < _HEADER_BYTES:
        return None
    magic, journal_id, boot_id, _, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC or boot_id != _boot_id():
        return None
    replies: dict[int, int | None] = {}
    for offset in range(_HEADER_BYTES, len(data) - _SLOT.size + 1, _SLOT.size):
        recipient_id, state, check = _SLOT.unpack_from(data, offset)
        if not (recipient_id or state or check):
            continue
        if check != zlib.crc32(_BODY.pack(recipient_id, state)):
            return None  # torn: no line of it is believed
        replies[recipient_id] = None if state == _DOT else state
    return JournalContents(journal_id.decode(), replies)


def _boot_id() -> bytes:
    """What tells one boot of the machine from the next."""
    try:
        return _BOOT_ID.read_text().strip().encode().ljust(36)[:36]
    except OSError:  # no such file on this system: every run counts as another boot
        return uuid4().hex.encode().ljust(36)
