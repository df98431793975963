"""The processes that a process has started (Linux)."""

from __future__ import annotations

from pathlib import Path


def children(pid: int) -> list[int]:
    """The ids of the living processes that a process has started."""
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return [int(folder.name) for folder in folders if _parent(folder) == pid]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has waited for it."""
    return _parent(Path("/proc") / str(pid)) is None


def _parent(folder: Path) -> int | None:
    try:
        state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)
