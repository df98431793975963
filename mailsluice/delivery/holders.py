"""Find the processes that have held a campaign's journal in this home, and those that are dead.

The lease of a dead process can be taken over without waiting until it expires. A process locks its
journal's file as long as it lives. So the process is dead when this one can lock that same file,
identified by device and inode, since a deleted journal may have been replaced by a file of the same
name. Where the files differ, the process id decides, if the process ran on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mailsluice.core.private import private_opener
from mailsluice.core.process import Process
from mailsluice.delivery.journal import Journal


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has held the journal."""

    name: str
    file: str
    """The file that the process locked, see `Journal.file`."""
    process: Process

    def is_alive(self, journal: Journal) -> bool | None:
        """Whether the process lives, for the present holder of the journal; None: unknown."""
        is_alive = self.process.lives()
        return False if is_alive is None and self.file == journal.file else is_alive


def note_holder(path: Path, name: str, journal: Journal) -> dict[str, Holder]:
    """Note that this process holds the journal now; returns its earlier holders by name."""
    earlier = {holder.name: holder for holder in _read(path)}
    with open(path, "a", opener=private_opener) as file:
        file.write(f"{name} {journal.file} {Process.own()}\n")
    return earlier


def _read(path: Path) -> Iterator[Holder]:
    for line in path.read_text().splitlines() if path.exists() else ():
        match line.split():
            case [name, file, process]:
                yield Holder(name, file, Process.parse(process))
