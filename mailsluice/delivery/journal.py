"""The local journal: which of the claimed messages may have reached a server.

The outbox commits in groups; between two commits a crash would leave every claimed recipient in
doubt. This memory-mapped file is written, without a system call, right before a message's final dot
and right after its reply. The file survives the process (the kernel owns the pages), but not the
machine: after a reboot it is ignored. So after a `kill -9` only messages are uncertain whose final
dot was written and whose reply was not read.

The file contains its own identity (device and inode). So a copy in its place, such as one from a
backup, is ignored as well, since it may be older.

A slot holds one message on its way (id, state, check sum). The slot is free again when the outbox
has committed the outcome, so the file is only as large as the messages in flight need.

Before the slots come the accounts of connections, and of mailbox providers on them, with limits:
how many messages had been started and not answered, and how many replies had come. So the next run
knows which of the starts that the dead process had reserved were used.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

from mailsluice.core.errors import JournalError
from mailsluice.core.private import private_folder, private_opener
from mailsluice.limits import Estate

_MAGIC = b"MSLJ0003"
_HEADER = struct.Struct("<8s32s36sQQ")  # magic, journal id, boot id, device and inode
_HEADER_BYTES = 128
_ACCOUNT = struct.Struct("<16sqiI")  # connection, replies, messages in flight, check sum of all
_ACCOUNT_BODY = struct.Struct("<16sqi")
_ACCOUNTS_OF = {b"MSLJ0001": 0, b"MSLJ0002": 64, _MAGIC: 1024}
"""How many accounts a journal has, by its version: one may be left from before an upgrade."""
_ACCOUNTS = _ACCOUNTS_OF[_MAGIC]
"""Later connections and providers have none: after a kill all their reserved starts count."""
_SLOTS_AT = _HEADER_BYTES + _ACCOUNTS * _ACCOUNT.size
_SLOT = struct.Struct("<qiI")  # recipient id, state, check sum of both
_BODY = struct.Struct("<qi")
_CHECK = struct.Struct("<I")
_EMPTY = bytes(_SLOT.size)
_DOT = -1
_SLOTS = 4096
_UNKNOWN = (0, 0)
"""The identity in a journal of a version that did not store it."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalBusyError(JournalError):
    """A living process on this machine holds the journal."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"the journal {path} is held by another process of this machine")


@dataclass(frozen=True, slots=True)
class JournalContents:
    """The contents of a dead run's journal."""

    journal_id: str
    replies: Mapping[int, int | None]
    """By recipient id, the code of the reply; None: the final dot was written, no reply was read.
    For a recipient that is missing, no final dot was written."""
    accounts: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)
    """By connection (`_digest`): its replies, and its messages in flight."""

    def estate(self, connection: str, provider: str = "") -> Estate | None:
        """The starts of a connection with limits, as the dead run left them, if that is known.

        Those for the mail to one provider, or those for all mail.
        """
        account = self.accounts.get(_digest(account_name(connection, provider)))
        if account is None:
            return None
        answered, in_flight = account
        return Estate(holder(self.journal_id, connection), in_flight, answered)


def holder(journal_id: str, connection: str) -> str:
    """The name under which a run is given the starts of a connection."""
    return f"{journal_id} {connection}"


def connection_of(holder: str) -> str:
    """The connection of a holder of starts, see `holder`."""
    return holder.partition(" ")[2]


def account_name(connection: str, provider: str = "") -> str:
    """The name of the account of a connection, or of one mailbox provider's mail over it."""
    return f"{connection}\0{provider}" if provider else connection


class Journal:
    """The journal of one campaign on this machine, held by one process at a time.

    Raises JournalBusyError where a living process holds it, JournalError where it is not writable.
    """

    def __init__(self, path: Path, journal_id: str = "") -> None:
        """`journal_id` has 32 characters; a new one by default."""
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
        """Whether the last run held this file, and not another one that was replaced by a copy."""
        self.evidence = _read(data) if self.is_own_file else None
        """The contents that the last run left; None where they cannot be trusted."""
        self.id = journal_id or uuid4().hex
        self._map: mmap.mmap | None = None
        self._slots: dict[int, int] = {}
        self._accounts: dict[str, int] = {}
        self._free: list[int] = []

    def start(self) -> None:
        """Delete what the last run left, and begin a journal for the claims of this run."""
        with self._writable():
            os.ftruncate(self._file, 0)
        self._grow()
        header = _HEADER.pack(_MAGIC, self.id.encode(), _boot_id(), *self._identity)
        self._data[: _HEADER.size] = header
        os.fsync(self._file)

    def dot(self, recipient_id: int) -> None:
        """Note that the final dot of this recipient's message is about to be written."""
        offset = self._slots.get(recipient_id)
        if offset is None:  # else the message was deferred before, and is sent again
            if not self._free:
                self._grow()
            offset = self._slots[recipient_id] = self._free.pop()
        self._write(offset, recipient_id, _DOT)

    def reply(self, recipient_id: int, code: int) -> None:
        """Note that the server answered the message with this code."""
        self._write(self._slots[recipient_id], recipient_id, code)

    def forget(self, recipient_ids: Iterable[int]) -> None:
        """Free the slots of these recipients, whose outcomes the outbox has committed."""
        for recipient_id in recipient_ids:
            offset = self._slots.pop(recipient_id, None)
            if offset is not None:
                self._data[offset : offset + _SLOT.size] = _EMPTY
                self._free.append(offset)

    def account(self, name: str) -> Callable[[int, int], None]:
        """Return what notes the messages in flight and the replies in all of an account.

        Negative messages in flight: the starts are not counted any more. See `account_name`.
        """
        index = self._accounts.setdefault(name, len(self._accounts))
        if index >= _ACCOUNTS:
            return lambda _in_flight, _answered: None
        offset = _HEADER_BYTES + index * _ACCOUNT.size
        return partial(self._note, offset, _digest(name))

    def so_far(self) -> JournalContents | None:
        """The contents that this run has written."""
        return _read(self._data[:])

    def close(self) -> None:
        """Release the journal; another run may hold it."""
        if self._map is not None:
            self._map.close()
        os.close(self._file)

    @property
    def file(self) -> str:
        """The identity of the open file, which another file of the same name does not have."""
        device, inode = self._identity
        return f"{device}:{inode}"

    @property
    def _identity(self) -> tuple[int, int]:
        status = os.fstat(self._file)
        return status.st_dev, status.st_ino

    @property
    def _data(self) -> mmap.mmap:
        if self._map is None:
            raise RuntimeError("the journal has not been started")
        return self._map

    def _write(self, offset: int, recipient_id: int, state: int) -> None:
        body = _BODY.pack(recipient_id, state)
        # In one piece: a kill must not leave half a slot.
        self._data[offset : offset + _SLOT.size] = body + _CHECK.pack(zlib.crc32(body))

    def _note(self, offset: int, connection: bytes, in_flight: int, answered: int) -> None:
        body = _ACCOUNT_BODY.pack(connection, answered, in_flight)
        self._data[offset : offset + _ACCOUNT.size] = body + _CHECK.pack(zlib.crc32(body))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalError(
                f"the journal {self._path} cannot be written ({error.strerror}), and nothing is"
                " sent without it. Free disk space or make the folder writable, or set"
                " MAILSLUICE_HOME to another folder, then run the campaign again"
            ) from error

    def _grow(self) -> None:
        old = os.fstat(self._file).st_size or _SLOTS_AT
        new = old + _SLOTS * _SLOT.size
        with self._writable():
            os.posix_fallocate(self._file, 0, new)  # a full disk must not show as a SIGBUS later
        if self._map is not None:
            self._map.close()
        self._map = mmap.mmap(self._file, new)
        self._free.extend(range(new - _SLOT.size, old - 1, -_SLOT.size))


def _file(data: bytes) -> tuple[int, int] | None:
    """The identity of the file that the last run held; None where the journal is too short."""
    if len(data) < _HEADER_BYTES:
        return None
    _, _, _, device, inode = _HEADER.unpack_from(data)
    return device, inode


def _read(data: bytes) -> JournalContents | None:
    if len(data) < _HEADER_BYTES:
        return None
    magic, journal_id, boot_id, _, _ = _HEADER.unpack_from(data)
    if magic not in _ACCOUNTS_OF or boot_id != _boot_id():
        return None
    slots_at = _HEADER_BYTES + _ACCOUNTS_OF[magic] * _ACCOUNT.size
    accounts = _read_accounts(data[_HEADER_BYTES:slots_at])
    replies: dict[int, int | None] = {}
    for offset in range(slots_at, len(data) - _SLOT.size + 1, _SLOT.size):
        recipient_id, state, check = _SLOT.unpack_from(data, offset)
        if not (recipient_id or state or check):
            continue
        if check != zlib.crc32(_BODY.pack(recipient_id, state)):
            return None  # a torn slot: the whole journal is ignored
        replies[recipient_id] = None if state == _DOT else state
    return JournalContents(journal_id.decode(), replies, accounts)


def _read_accounts(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Read the accounts; one that was torn or given up is left out."""
    return {
        connection: (answered, in_flight)
        for connection, answered, in_flight, check in _ACCOUNT.iter_unpack(
            data[: len(data) - len(data) % _ACCOUNT.size]
        )
        if check == zlib.crc32(_ACCOUNT_BODY.pack(connection, answered, in_flight))
        and in_flight >= 0
    }


def _digest(connection: str) -> bytes:
    return hashlib.blake2b(connection.encode(), digest_size=16).digest()


def _boot_id() -> bytes:
    """The id of this boot of the machine."""
    try:
        return _BOOT_ID.read_text().strip().encode().ljust(36)[:36]
    except OSError:  # no such file on this system, where every run counts as a new boot
        return uuid4().hex.encode().ljust(36)
