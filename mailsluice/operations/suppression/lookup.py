"""Finding the suppressed rows of an audience of any size in a list of any size."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from mailsluice.audience.chunk import as_array
from mailsluice.audience.keys import Keys, KeySet, address_keys
from mailsluice.core.suppression import Suppression
from mailsluice.store import Suppressions

_WORTH = 4  # looking an address up costs as much as reading four from the list


class Lookup:
    """Finds the suppressed addresses of an audience; a callable for `audience.resolve`.

    A list that is short compared with the audience is read completely, with 16 bytes for each
    address, and only addresses whose key is in it are looked up. Otherwise all addresses are.
    """

    def __init__(self, suppressions: Suppressions) -> None:
        self._suppressions = suppressions
        self._seen = 0

    def __call__(self, emails: pd.Series[str], keys: Keys) -> dict[int, Suppression]:
        """The entries of the addresses (n,) with keys (n, 2) that are on the list, by position."""
        self._seen += len(emails)
        if not self._length:
            return {}
        if self._seen * _WORTH < self._length:
            return self._suppressions.find(emails.tolist())
        at = np.flatnonzero(self._keys.contains(keys))
        entries = self._suppressions.find(emails.iloc[at].tolist()) if len(at) else {}
        return {int(at[position]): suppression for position, suppression in entries.items()}

    @cached_property
    def _length(self) -> int:
        return self._suppressions.count()

    @cached_property
    def _keys(self) -> KeySet:
        keys = bytearray()
        for emails in self._suppressions.emails():
            keys += address_keys(as_array(pd.Series(emails, dtype="str"))).tobytes()
        return KeySet.of(np.frombuffer(keys, np.uint64).reshape(-1, 2))
