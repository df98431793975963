"""The distinct domains of an audience, numbered in the order in which they occur."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mailsluice.audience.chunk import TEXT
from mailsluice.audience.keys import Keys, domain_keys

Numbers = npt.NDArray[np.int32]


@dataclass
class Domains:
    """The distinct domains of the rows read so far, each with its key."""

    _sorted: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    _numbers: Numbers = field(default_factory=lambda: np.empty(0, np.int32))
    """(len(self),), of the sorted keys."""
    _names: list[pa.Array] = field(default_factory=list)

    def __len__(self) -> int:
        """Count the domains."""
        return len(self._sorted)

    def add(self, domains: pa.Array) -> Numbers:
        """Return the number of each domain (n,), and keep those that are new."""
        encoded = domains.dictionary_encode()
        numbers: Numbers = self._numbered(encoded.dictionary)[encoded.indices.to_numpy()]
        return numbers

    def _numbered(self, names: pa.Array) -> Numbers:
        keys = domain_keys(names)
        at = np.searchsorted(self._sorted, keys)
        is_new = np.ones(len(keys), np.bool_)
        inside = at < len(self)
        is_new[inside] = self._sorted[at[inside]] != keys[inside]
        numbers = np.empty(len(keys), np.int32)
        numbers[~is_new] = self._numbers[at[~is_new]]
        numbers[is_new] = np.arange(len(self), len(self) + np.count_nonzero(is_new))
        if is_new.any():
            self._names.append(names.filter(pa.array(is_new)))
            self._merge(keys[is_new], numbers[is_new])
        return numbers

    def _merge(self, keys: Keys, numbers: Numbers) -> None:
        keys = np.concatenate([self._sorted, keys])
        order = np.argsort(keys, kind="stable")  # linear for a long run that is sorted already
        self._sorted = keys[order]
        self._numbers = np.concatenate([self._numbers, numbers])[order]

    def keys(self) -> Keys:
        """Return the keys of the domains, by number."""
        keys = np.empty_like(self._sorted)
        keys[self._numbers] = self._sorted
        return keys

    def names(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        """Return the domains with these numbers."""
        names: list[str] = pa.chunked_array(self._names, TEXT).take(pa.array(numbers)).to_pylist()
        return names
