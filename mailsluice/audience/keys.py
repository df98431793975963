"""Fixed-size keys of addresses and domains: what is kept in memory instead of the text.

SipHash (Aumasson and Bernstein, 2012) with fixed keys, so the same text has the same key in every
process and on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.core.folding import fold
from mailsluice.core.pieces import pieces

Keys = npt.NDArray[np.uint64]

_FIRST, _SECOND, _DOMAIN = "mailsluice-key-1", "mailsluice-key-2", "mailsluice-key-d"


def address_keys(emails: pa.Array) -> Keys:
    """(n, 2): 128 bits of each mailbox; two among 10,000,000 agree once in 10^24 audiences.

    Spellings of one mailbox have the same key: see `mailsluice.core.folding`.
    """
    values = fold(emails).to_numpy(zero_copy_only=False)
    return np.column_stack([_hashes(values, key) for key in (_FIRST, _SECOND)])


def domain_keys(domains: pa.Array) -> Keys:
    """(n,): 64 bits of each domain."""
    encoded = domains.dictionary_encode()
    hashes = _hashes(encoded.dictionary.to_numpy(zero_copy_only=False), _DOMAIN)
    result: Keys = hashes[encoded.indices.to_numpy()]
    return result


def _hashes(values: npt.NDArray[Any], key: str) -> Keys:
    return pd.util.hash_array(values, hash_key=key, categorize=False)


def repeated(keys: Keys) -> npt.NDArray[np.int64]:
    """Positions of all keys (n, 2) that occur earlier as well."""
    suspects = _sharing_first_half(keys)
    among = keys[suspects]
    order = np.lexsort((among[:, 1], among[:, 0]))  # stable: the earliest first
    equal = np.all(among[order[1:]] == among[order[:-1]], axis=1)
    return suspects[order[1:][equal]]


def _sharing_first_half(keys: Keys) -> npt.NDArray[np.int64]:
    order = np.argsort(keys[:, 0])
    shared = np.zeros(len(keys), np.bool_)
    for start, end in pieces(len(keys)):
        first = keys[order[start : end + 1], 0]
        same = first[1:] == first[:-1]
        shared[start : start + len(same)] |= same
        shared[start + 1 : start + 1 + len(same)] |= same
    return np.sort(order[shared])


@dataclass(frozen=True)
class KeySet:
    """A set of address keys, sorted."""

    keys: Keys

    @classmethod
    def of(cls, keys: Keys) -> KeySet:
        """Make a set of keys (n, 2) in any order."""
        return cls(keys[np.lexsort((keys[:, 1], keys[:, 0]))])

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Tell for each of the keys (n, 2) whether it is in the set."""
        found = np.zeros(len(keys), np.bool_)
        at = np.searchsorted(self.keys[:, 0], keys[:, 0])
        left = np.arange(len(keys))
        while len(left := left[at[left] < len(self.keys)]):
            there = self.keys[at[left]]
            left, there = (x[there[:, 0] == keys[left, 0]] for x in (left, there))
            found[left] = there[:, 1] == keys[left, 1]
            left = left[~found[left]]
            at[left] += 1
        return found
