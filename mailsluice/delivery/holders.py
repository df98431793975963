"""Which processes have held the journal of a campaign in this home, and which of them are dead.

A lease that carries the name of a dead one need not be waited for. A process holds its journal's
lock as long as it lives. So it is dead where this process has the lock of the very file that it
held: a file of the same name may be another one, since somebody may have deleted the first. Where
the file is another one, the process's number tells, if it is of this machine.
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
    """The file that it locked, see `Journal.file`."""
    process: Process

    def lives(self, journal: Journal) -> bool | None:
        """Whether it lives, as seen by the present holder of the journal; None: unknown."""
        lives = self.process.lives()
        return False if lives is None and self.file == journal.file else lives


def take_turn(path: Path, name: str, journal: Journal) -> dict[str, Holder]:
    """Note that this process holds the journal now; gives those that held it before, by name."""
    before = {one.name: one for one in _read(path)}
    with open(path, "a", opener=private_opener) as file:
        file.write(f"{name} {journal.file} {Process.own()}\n")
    return before


def _read(path: Path) -> Iterator[Holder]:
    for line in path.read_text().splitlines() if path.exists() else ():
        match line.split():
            case [name, file, process]:
                yield Holder(name, file, Process.parse(process))
