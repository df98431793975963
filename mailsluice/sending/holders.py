"""Which processes of this machine have held the journal of a campaign.

The lock of a journal is free only when its last holder is dead, and so are all holders before it. A
lease that carries the name of one of them need not be waited for.
"""

from __future__ import annotations

from pathlib import Path


def take_turn(path: Path, process: str) -> frozenset[str]:
    """Note that this process holds the journal now; gives those that held it before.

    Called with the journal's lock held.
    """
    before = path.read_text().split() if path.exists() else []
    with path.open("a") as file:
        file.write(f"{process}\n")
    return frozenset(before)
