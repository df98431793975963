"""Fixed-size keys of addresses and domains, which are kept in memory instead of the text.

The keys are SipHash (Aumasson and Bernstein, 2012) with fixed keys, so the same text has the same
key in every process and on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.core.folded_column import fold
from mailsluice.core.pieces import pieces

Keys = npt.NDArray[np.uint64]

_FIRST, _SECOND, _DOMAIN = "mailsluice-key-1", "mailsluice-key-2", "mailsluice-key-d"


def address_keys(emails: pa.Array) -> Keys:
    """Return a 128-bit key for each of n mailboxes, as (n, 2).

    Spellings of a mailbox have the same key: see `mailsluice.core.folding`. Two of 10,000,000
    mailboxes share a key in one of 10^24 audiences.
    """
    values = fold(emails).to_numpy(zero_copy_only=False)
    return np.column_stack([_hashes(values, key) for key in (_FIRST, _SECOND)])


def domain_keys(domains: pa.Array) -> Keys:
    """Return a 64-bit key for each of the domains (n,)."""
    encoded = domains.dictionary_encode()
    hashes = _hashes(encoded.dictionary.to_numpy(zero_copy_only=False), _DOMAIN)
    result: Keys = hashes[encoded.indices.to_numpy()]
    return result


def _hashes(values: npt.NDArray[Any], key: str) -> Keys:
    return pd.util.hash_array(values, hash_key=key, categorize=False)


def repeated(keys: Keys) -> npt.NDArray[np.int64]:
    """Return the positions of all keys (n, 2) that also occur at an earlier position."""
    suspects = _sharing_first_half(keys)
    among = keys[suspects]
    order = np.lexsort((among[:, 1], among[:, 0]))  # stable: of equal keys the earliest is first
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
        """Return for each of the keys (n, 2) whether it is in the set."""
        result = np.zeros(len(keys), np.bool_)
        at = np.searchsorted(self.keys[:, 0], keys[:, 0])
        open_ = np.arange(len(keys))  # positions of keys that are not decided yet
        while len(open_ := open_[at[open_] < len(self.keys)]):
            candidates = self.keys[at[open_]]
            same_half = candidates[:, 0] == keys[open_, 0]
            open_, candidates = open_[same_half], candidates[same_half]
            result[open_] = candidates[:, 1] == keys[open_, 1]
            open_ = open_[~result[open_]]
            at[open_] += 1
        return result
