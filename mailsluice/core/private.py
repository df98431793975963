"""Create files and folders that only their owner can read, for addresses and sent messages.

The mode is set when a file is created. The process's umask belongs to the program that calls this
library, so the umask is left alone.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_OTHERS = 0o077
_warned: set[Path] = set()


def private_folder(path: Path) -> None:
    """Create a folder, and its missing parents, for the owner alone."""
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def private_file(path: Path) -> None:
    """Create an empty file for the owner alone, unless the file exists.

    A file that exists is not even opened: if it is a database that this process has open, closing
    it here would end SQLite's locks on it, and another process that closes the database could
    delete its write-ahead log ("How To Corrupt An SQLite Database File", section 2.2).
    """
    with suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(..., opener=)`; a new file is created for the owner alone."""
    return os.open(path, flags, 0o600)


def warn_of_open(paths: Iterable[Path]) -> None:
    """Log a warning, once for each path, if other users of this machine can read or enter it."""
    for path in {path.resolve() for path in paths} - _warned:
        if path.exists() and path.stat().st_mode & _OTHERS:
            _warned.add(path)
            logger.warning(
                "other users of this machine can read %s: it holds addresses and sent messages. To"
                " make it private: chmod -R go= %s",
                path,
                shlex.quote(str(path)),
            )
