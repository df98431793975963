"""Choose the recipients of a canary: an exact part of each provider on each connection. Pure."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt

from mailsluice.assignment.layout import Routes
from mailsluice.limits.apportionment import quotas

Flags = npt.NDArray[np.bool]


def canary(
    connections: Routes, providers: npt.NDArray[np.int16], are_due: Flags, percent: Decimal
) -> Flags:
    """Choose the first recipients of each provider on each connection, in send order.

    Of all recipients that are due, `percent` are chosen, rounded up; each provider on each
    connection has its part of them by largest remainder, and at least one recipient.

    Args:
        connections: (n,), the index of each recipient's connection, by send position.
        providers: (n,), the number of each recipient's provider, by send position.
        are_due: (n,), whether a recipient may be sent to on the first day.
        percent: Above 0, at most 100.

    Returns:
        (n,), whether each recipient is in the canary.
    """
    positions = np.flatnonzero(are_due)
    codes = connections[positions].astype(np.int32) << 16 | providers[positions]
    _, group, counts = np.unique(codes, return_inverse=True, return_counts=True)
    result = np.zeros(len(connections), np.bool)
    if not len(positions):
        return result
    total = ceil(Fraction(percent) * len(positions) / 100)
    parts = quotas(total, [Decimal(count) for count in counts.tolist()])
    chosen = np.maximum(parts, 1)
    by_group = np.argsort(group, kind="stable")
    begins = np.cumsum(counts) - counts
    ranks = np.arange(len(positions)) - begins[group[by_group]]
    result[positions[by_group[ranks < chosen[group[by_group]]]]] = True
    return result
