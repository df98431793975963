"""The processes that send campaigns of a served deployment."""

from __future__ import annotations

from pathlib import Path

from tests.serving import Served


def journal_holders(served: Served, prefix: str = "") -> list[int]:
    """Give the ids of processes that have a journal of this server's open: those that send.

    The journals of runs that send on behalf of another have the prefix `sender-`.
    """
    start = f"{served.state.parent / 'journals'}/{prefix}"
    return [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit()
        and any(file.startswith(start) and file.endswith(".journal") for file in _files(folder))
    ]


def _files(process: Path) -> list[str]:
    """Give what a process has open; nothing where it has ended meanwhile."""
    try:
        return [str(link.readlink()) for link in (process / "fd").iterdir()]
    except OSError:
        return []
