"""Pages of an affinity group: sorted keys of addresses, and the number of each one's connection.

Pure. Launches alone load this module, since it needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int16]
Positions = npt.NDArray[np.int64]

_PAGE_BITS = 12
PAGES = 1 << _PAGE_BITS
"""Pages of a group: with ten million addresses, 24 kB each."""
_KEY, _NUMBER = np.dtype("<u8"), np.dtype("<i2")


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Some of a group's addresses."""

    keys: Keys
    """(n,), sorted and distinct."""
    numbers: Numbers
    """(n,), the number of each address's connection."""

    @classmethod
    def read(cls, keys: bytes, numbers: bytes) -> Page:
        """Read what `keys_content` and `numbers_content` wrote."""
        return cls(np.frombuffer(keys, _KEY), np.frombuffer(numbers, _NUMBER))

    @property
    def keys_content(self) -> bytes:
        """The keys in eight bytes each."""
        return self.keys.astype(_KEY, copy=False).tobytes()

    @property
    def numbers_content(self) -> bytes:
        """The numbers in two bytes each."""
        return self.numbers.astype(_NUMBER, copy=False).tobytes()

    def find(self, keys: Keys) -> tuple[Positions, npt.NDArray[np.bool]]:
        """Return the place of each of these keys (k,), and whether it is on the page."""
        places = np.searchsorted(self.keys, keys)
        is_known = places < len(self.keys)
        is_known[is_known] = self.keys[places[is_known]] == keys[is_known]
        return places, is_known

    def merged(self, keys: Keys, numbers: Numbers) -> Page:
        """Return the page with these numbers of sorted keys (k,); itself if nothing changes."""
        places, is_known = self.find(keys)
        known = places[is_known]
        if len(known) == len(keys) and np.array_equal(self.numbers[known], numbers):
            return self
        changed = self.numbers.copy()
        changed[known] = numbers[is_known]
        is_new = ~is_known
        is_new[1:] &= keys[1:] != keys[:-1]  # two addresses with one key have one place
        at = places[is_new]
        return Page(np.insert(self.keys, at, keys[is_new]), np.insert(changed, at, numbers[is_new]))

    def without(self, keys: Keys) -> Page:
        """Return the page without these keys."""
        left = ~np.isin(self.keys, keys)
        return Page(self.keys[left], self.numbers[left])


EMPTY = Page(np.empty(0, np.uint64), np.empty(0, np.int16))


@dataclass(frozen=True, slots=True, eq=False)
class ByPage:
    """The places of keys (n,), sorted and by page."""

    order: Positions
    """(n,), the places of the keys in the order of their values."""
    starts: Positions
    """(PAGES + 1,), where each page begins in that order, and the end."""

    @classmethod
    def of(cls, keys: Keys) -> ByPage:
        """Sort keys (n,)."""
        order = np.argsort(keys)
        begins = np.arange(PAGES, dtype=np.uint64) << np.uint64(64 - _PAGE_BITS)
        starts = np.searchsorted(keys, begins, sorter=order)
        return cls(order, np.append(starts, len(keys)))

    def __getitem__(self, page: int) -> Positions:
        """The places of the keys of a page."""
        return self.order[self.starts[page] : self.starts[page + 1]]

    @property
    def pages(self) -> list[int]:
        """The pages that have any of these keys."""
        return np.flatnonzero(np.diff(self.starts)).tolist()
