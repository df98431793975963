"""Share a day's room of a connection that warms up out to mailbox providers. Pure.

Each provider gets its part of the day in proportion to its waiting recipients, up to its own cap.
What a cap leaves goes to the others in proportion. Numbers are rounded by largest remainder. So the
mix of providers is the same each day, as far as caps allow, and it does not depend on which of them
has the more engaged recipients.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


def day_share(room: int, waiting: Counts, caps: Counts) -> Counts:
    """Return how many recipients of each provider (n,) go on a day.

    Together they fill the room, unless all that the caps allow is less. Of equal remainders, that
    of the earlier provider counts first.

    Args:
        room: The most recipients in all.
        waiting: (n,) recipients.
        caps: (n,) the most recipients of each provider.
    """
    most = np.minimum(waiting, caps)
    if most.sum() <= room:
        return most
    full = _full(room, waiting, most)
    result = np.where(full, most, 0)
    room -= int(result.sum())
    waiting = np.where(full, 0, waiting)
    total = int(waiting.sum())  # there is such a provider: not all that the caps allow has room
    shares, remainders = np.divmod(waiting * room, total)
    left = room - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:left]] += 1
    filled: Counts = result + shares
    return filled


def _full(room: int, waiting: Counts, most: Counts) -> npt.NDArray[np.bool]:
    """Return which providers reach their cap before the others have filled the room (n,).

    When all are filled in proportion to their recipients, they reach it in the order of
    `most / waiting`. A provider is full if what the earlier ones leave of the room, shared out in
    proportion, would be more than its cap.
    """
    result = np.zeros(len(waiting), np.bool)
    waits = np.flatnonzero(waiting)
    order = waits[np.argsort(most[waits] / waiting[waits], kind="stable")]
    taken = np.cumsum(most[order]) - most[order]
    others = np.cumsum(waiting[order][::-1])[::-1]
    is_full = (room - taken) * waiting[order] > most[order] * others
    first_open = int(np.argmin(is_full))  # all after it have more room still
    result[order[:first_open]] = True
    return result
