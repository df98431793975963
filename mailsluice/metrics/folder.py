"""The files with the metrics of a machine: one for each process at work, and one for all before.

A process locks a file of its own as long as it lives, so that anybody can see when it has died. Its
counters are then added to the totals, by whoever looks first. The totals name the files whose
numbers they contain, until those files are deleted: so a crash in between counts nothing twice.
Counters of a process that was killed lack what it did since it last wrote, a few seconds.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import orjson

from mailsluice.core.private import private_folder, private_opener
from mailsluice.metrics.numbers import Numbers
from mailsluice.store import home

logger = logging.getLogger(__name__)

FOLDER = "MAILSLUICE_METRICS_FOLDER"
_TOTALS, _LOCK = "totals.json", "folder.lock"
_NUMBERS, _ALIVE = ".numbers", ".alive"


def metrics_folder() -> MetricsFolder:
    """The folder of this machine: MAILSLUICE_METRICS_FOLDER, or `metrics` in the home folder.

    Containers with a home folder each share a volume by the setting.
    """
    given = os.environ.get(FOLDER)
    return MetricsFolder(Path(given).expanduser() if given else home() / "metrics")


class MetricsFolder:
    """The metrics of all processes that share a home folder. Blocking; raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self) -> Snapshot:
        """Make a file for a process that begins to work."""
        private_folder(self._path)
        with self._locked():
            return Snapshot(self, self._path / uuid4().hex)

    def read(self) -> Numbers:
        """The sum of what all processes have done, and the gauges of those at work."""
        if not self._path.is_dir():
            return Numbers()
        with self._locked():
            totals, folded = self._totals()
            numbers, dead = Numbers(), list[Path]()
            for path in sorted(self._path.glob(f"*{_NUMBERS}")):
                if path.stem in folded:
                    _remove(path)
                elif _is_alive(path):
                    numbers += _numbers_in(_read(path))
                else:
                    totals += _numbers_in(_read(path)).lasting()
                    dead.append(path)
            if dead:
                self._save(totals, dead, folded)
            self._clear_locks()
            numbers += totals
        return numbers

    def end(self, path: Path, numbers: Numbers) -> None:
        """Add the last numbers of a process to the totals, and delete its file."""
        with self._locked():
            totals, folded = self._totals()
            totals += numbers.lasting()
            self._save(totals, [path], folded)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self._path / _LOCK, "ab", opener=private_opener) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _totals(self) -> tuple[Numbers, list[str]]:
        """The totals, and the names of the files that they contain."""
        stored = _read(self._path / _TOTALS)
        folded = stored.get("folded")
        return _numbers_in(stored), folded if isinstance(folded, list) else []

    def _save(self, totals: Numbers, new: list[Path], folded: list[str]) -> None:
        left = [name for name in folded if (self._path / f"{name}{_NUMBERS}").exists()]
        names = [*left, *(path.stem for path in new)]
        _write(self._path / _TOTALS, {"folded": names, "metrics": totals.dumped()})
        for path in new:
            _remove(path)

    def _clear_locks(self) -> None:
        """Delete the locks of processes that died before they wrote anything."""
        for path in self._path.glob(f"*{_ALIVE}"):
            if not path.with_suffix(_NUMBERS).exists() and not _is_alive(path):
                _remove(path)


class Snapshot:
    """The file of one process, from its construction until `end`."""

    def __init__(self, folder: MetricsFolder, path: Path) -> None:
        self._folder = folder
        self._path = path.with_suffix(_NUMBERS)
        self._alive: IO[bytes] = open(  # noqa: SIM115 open as long as the process works
            path.with_suffix(_ALIVE), "ab", opener=private_opener
        )
        fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, numbers: Numbers) -> None:
        """Replace what the file says."""
        _write(self._path, {"metrics": numbers.dumped()})

    def end(self, numbers: Numbers) -> None:
        """Leave the last counters to the totals; gauges go away."""
        try:
            self._folder.end(self._path, numbers)
        finally:
            self._alive.close()


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader sees the old content, or the new one."""
    new = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    try:
        with open(new, "xb", opener=private_opener) as file:
            file.write(content)
        new.chmod(mode)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _write(path: Path, content: dict[str, Any]) -> None:
    replace_file(path, orjson.dumps(content))


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a file; empty if the file is missing or damaged."""
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError:
        logger.warning("%s is damaged, and its metrics are lost: counters begin at 0", path)
        return {}
    return content if isinstance(content, dict) else {}


def _numbers_in(content: dict[str, Any]) -> Numbers:
    try:
        return Numbers.loaded(content.get("metrics", {}))
    except (ValueError, TypeError, AttributeError):
        return Numbers()


def _is_alive(path: Path) -> bool:
    """Whether the process that writes this file is alive, and so holds the lock."""
    try:
        with path.with_suffix(_ALIVE).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _remove(path: Path) -> None:
    path.with_suffix(_NUMBERS).unlink(missing_ok=True)
    path.with_suffix(_ALIVE).unlink(missing_ok=True)
