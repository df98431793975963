"""Files that a campaign's document or a parameter name: what may be read or written.

Whoever may start a run names paths on the worker. MAILSLUICE_FILES lists the folders, separated as
in PATH, that such paths have to lie in once every link is followed; without it there is no bound.
Only regular files are read: no device, pipe, socket or folder, nothing that the kernel makes up.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from mailsluice.core.errors import MailsluiceError

_VARIABLE = "MAILSLUICE_FILES"
_OPENED = Path("/proc/self/fd")
_KERNEL = (Path("/proc"), Path("/sys"))


class FileError(MailsluiceError):
    """A path that may not be used, or leads to nothing that can be; the message leaves it out."""


def open_named(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, without waiting for anybody.

    Raises FileError where it may not be read or is no regular file, OSError where it cannot be.
    What is checked is what was opened: a link that is changed meanwhile changes nothing.
    """
    folders, real = _folders(), _resolved(path)
    _check_inside(real, folders)
    _check_regular(real, real.stat())  # a device is not even opened
    # Neither waiting for a writer, nor made the terminal.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(real, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        now = _name_of(descriptor, real)
        _check_inside(now, folders)
        _check_regular(now, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def writable(path: str | Path) -> Path:
    """The path of a file or folder to be written, every link followed.

    Raises FileError where nothing may be written there.
    """
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, nobody's home, a NUL
        raise FileError("no file can have such a path: correct it") from None
    _check_inside(real, _folders())
    return real


def _folders() -> list[Path]:
    given = os.environ.get(_VARIABLE) or ""
    return [Path(one).expanduser().resolve() for one in given.split(os.pathsep) if one]


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except RuntimeError:  # until Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    except ValueError:
        raise FileError("no file can have such a path: correct it") from None


def _name_of(descriptor: int, real: Path) -> Path:
    """Where the file that was opened lies; where the platform does not tell, where it was."""
    name = _OPENED / str(descriptor)
    return name.readlink() if name.is_symlink() else real.resolve()


def _check_inside(real: Path, folders: list[Path]) -> None:
    if folders and not any(real.is_relative_to(folder) for folder in folders):
        listed = ", ".join(map(str, folders))
        raise FileError(
            f"it is outside the folders that may be used here: put it into one of them ({listed}),"
            f" or add its folder to {_VARIABLE} where the worker runs"
        )


def _check_regular(real: Path, status: os.stat_result) -> None:
    made_up = any(real.is_relative_to(one) for one in _KERNEL) or status.st_dev in _made_up()
    if made_up or not stat.S_ISREG(status.st_mode):
        raise FileError(
            "it is not a regular file but a folder, a device, a pipe or the like: give the path of"
            " a file"
        )


def _made_up() -> set[int]:
    """The file systems of the kernel, wherever else they are mounted."""
    root = Path("/").stat().st_dev
    return {one.stat().st_dev for one in _KERNEL if one.is_dir()} - {root}
