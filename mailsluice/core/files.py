"""Check the paths that a campaign's document or a parameter names, before they are used.

Anybody who may start a run can name paths on the worker. MAILSLUICE_FILES lists the folders,
separated as in PATH, that contain the files that may be used; links are followed before a path is
checked. Without the variable, every folder may be used. Only regular files are read: no devices,
pipes, sockets or folders, and no files of the kernel's own file systems.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from mailsluice.core.errors import MailsluiceError

_VARIABLE = "MAILSLUICE_FILES"
_OPEN_FILES = Path("/proc/self/fd")
_KERNEL_FOLDERS = (Path("/proc"), Path("/sys"))


class FileError(MailsluiceError):
    """A path that may not be used, or does not lead to a regular file.

    The message does not contain the path, so that the caller can add it.
    """


def open_named(path: str | Path) -> BinaryIO:
    """Open a regular file for reading.

    The check applies to the file that was opened, so a link that somebody changes in between does
    not get around the check. A pipe without a writer does not block.

    Raises:
        FileError: The file may not be read, or is not a regular file.
        OSError: The file cannot be opened.
    """
    folders, real = _folders(), _resolved(path)
    _check_inside(real, folders)
    _check_regular(real, real.stat())  # since opening a device may have an effect already
    # Do not wait for the writer of a pipe, and do not take a terminal as the controlling one.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(real, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        opened = _path_of(descriptor, real)
        _check_inside(opened, folders)
        _check_regular(opened, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def writable(path: str | Path) -> Path:
    """Return the real path of a file or folder to be written, with every link followed.

    Raises FileError if Mailsluice may not write there.
    """
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, an unknown user, a NUL
        raise FileError("no file can have such a path: correct it") from None
    _check_inside(real, _folders())
    return real


def _folders() -> list[Path]:
    listed = os.environ.get(_VARIABLE) or ""
    return [Path(folder).expanduser().resolve() for folder in listed.split(os.pathsep) if folder]


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except RuntimeError:  # a loop of links, until Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    except ValueError:
        raise FileError("no file can have such a path: correct it") from None


def _path_of(descriptor: int, real: Path) -> Path:
    """Return the path of an open file; on platforms that cannot tell, resolve its path again."""
    link = _OPEN_FILES / str(descriptor)
    return link.readlink() if link.is_symlink() else real.resolve()


def _check_inside(real: Path, folders: list[Path]) -> None:
    if folders and not any(real.is_relative_to(folder) for folder in folders):
        listed = ", ".join(map(str, folders))
        raise FileError(
            f"it is outside the folders that may be used here: put it into one of them ({listed}),"
            f" or add its folder to the environment variable {_VARIABLE} of the worker"
        )


def _check_regular(real: Path, status: os.stat_result) -> None:
    in_kernel_folder = any(real.is_relative_to(folder) for folder in _KERNEL_FOLDERS)
    is_kernels = in_kernel_folder or status.st_dev in _kernel_devices()
    if is_kernels or not stat.S_ISREG(status.st_mode):
        raise FileError(
            "it is not a regular file but a folder, a device, a pipe or the like: give the path of"
            " a file"
        )


def _kernel_devices() -> set[int]:
    """Return the ids of the kernel's own file systems, wherever else they are mounted."""
    root = Path("/").stat().st_dev
    return {folder.stat().st_dev for folder in _KERNEL_FOLDERS if folder.is_dir()} - {root}
