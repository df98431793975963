"""Which rows of an audience are on the list, whatever the length of either."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from mailsluice.audience.chunk import as_array
from mailsluice.audience.keys import Keys, KeySet, address_keys
from mailsluice.core.suppression import Suppression
from mailsluice.store import Suppressions

_WORTH = 4  # an address costs as much to read as a quarter of one to look up


class Lookup:
    """Tells an audience's reader who is on the list; a callable as `audience.resolve` takes it.

    A list that is short beside the audience is read as a whole, 16 bytes an address, and only who
    seems to be on it is looked up; else everybody is.
    """

    def __init__(self, suppressions: Suppressions) -> None:
        self._suppressions = suppressions
        self._seen = 0

    def __call__(self, emails: pd.Series[str], keys: Keys) -> dict[int, Suppression]:
        """Those of the addresses (n,) with keys (n, 2) that are on the list, by position."""
        self._seen += len(emails)
        if not self._length:
            return {}
        if self._seen * _WORTH < self._length:
            return self._suppressions.find(emails.tolist())
        at = np.flatnonzero(self._keys.contains(keys))
        found = self._suppressions.find(emails.iloc[at].tolist()) if len(at) else {}
        return {int(at[position]): suppression for position, suppression in found.items()}

    @cached_property
    def _length(self) -> int:
        return self._suppressions.count()

    @cached_property
    def _keys(self) -> KeySet:
        keys = bytearray()
        for emails in self._suppressions.emails():
            keys += address_keys(as_array(pd.Series(emails, dtype="str"))).tobytes()
        return KeySet.of(np.frombuffer(keys, np.uint64).reshape(-1, 2))
