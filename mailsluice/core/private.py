"""Files and folders that only their owner can read: they hold addresses, and what people got.

Modes are given where a file is made. The process's umask belongs to the program that runs this.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

_OTHERS = 0o077
_told: set[Path] = set()


def private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone."""
    for one in (*reversed(path.parents), path):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file for the owner alone, unless it is there."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=)`: where the file is new, it is for the owner alone."""
    return os.open(path, flags, 0o600)


def warn_of_open(paths: Iterable[Path]) -> None:
    """Warn, once each, of what other users of this machine can read or enter."""
    for path in {one.resolve() for one in paths} - _told:
        if path.exists() and path.stat().st_mode & _OTHERS:
            _told.add(path)
            logger.warning(
                "other users of this machine can read %s: it holds addresses and what was sent to"
                " them. To keep it to yourself: chmod -R go= %s",
                path,
                shlex.quote(str(path)),
            )
