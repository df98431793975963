"""The rows of an audience with their connections and days, as a launch stores them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mailsluice.assignment.canary import Flags, canary
from mailsluice.assignment.placement import Placement
from mailsluice.audience.resolved import Audience
from mailsluice.core.memory import Trimming
from mailsluice.core.status import RecipientStatus

_CHUNK_ROWS = 1 << 15  # half a batch of the spool, so that all chunks take as long


def canary_of(audience: Audience, placement: Placement, percent: Decimal) -> Flags:
    """Choose the recipients of the canary, by send position."""
    routes, due = placement.moves()
    return canary(routes, audience.providers[placement.assignment.order], np.isnan(due), percent)


def counted(chosen: Flags, placement: Placement) -> dict[str, int]:
    """Count the chosen recipients of each connection."""
    numbers = np.bincount(placement.moves()[0][chosen], minlength=len(placement.connections))
    return dict(zip(placement.connections, numbers.tolist(), strict=True))


def placed(
    audience: Audience, placement: Placement, first: Flags | None = None
) -> Iterator[pd.DataFrame]:
    """The recipients in send order, in chunks for `Launches.store_audience`.

    Those of the send positions in `first` come before all others. Where recipients have time zones
    of their own, those of each zone are together.
    """
    names = np.array(placement.connections, dtype=object)
    order, route = placement.assignment.order, placement.assignment.route
    moves = placement.moves() if placement.warmings else None
    rank: npt.NDArray[Any] | None = ~first if first is not None else None
    if audience.zones:  # and so without a canary
        rank = audience.zones.numbers[order]
    if rank is not None:
        sequence = np.argsort(rank, kind="stable")
        order, route = order[sequence], route[sequence]
        moves = (moves[0][sequence], moves[1][sequence]) if moves else None
    start, trimming = 0, Trimming()
    for chunk in audience.chunks(order, _CHUNK_ROWS, ("email", "variables")):
        part = slice(start, start + len(chunk))
        start += len(chunk)
        assigned = names[route[part]]
        providers = audience.providers[order[part]]
        rows = chunk.assign(connection=assigned, provider=providers)
        if audience.origins.are_several:
            rows = rows.assign(source=audience.origins.numbers(order[part]))
        yield _moved(rows, names[moves[0][part]], moves[1][part]) if moves else rows
        trimming.processed(len(chunk))


def _moved(
    rows: pd.DataFrame, connections: npt.NDArray[np.object_], due: npt.NDArray[np.float64]
) -> pd.DataFrame:
    """The rows with the connections and times that warm-ups changed."""
    now = np.isnan(due)
    stays = (rows["connection"] == connections).to_numpy(bool)
    return rows.assign(
        connection=connections,
        reassigned_from=_except(rows["connection"].to_numpy(object), stays),
        status=np.where(now, RecipientStatus.PENDING, RecipientStatus.DEFERRED),
        next_attempt_at=_except(due, now),
    )


def _except(values: npt.NDArray[Any], missing: npt.NDArray[np.bool]) -> pd.Series[Any]:
    """The values (n,) as Python objects, with None where `missing` is true."""
    objects = values.astype(object)
    objects[missing] = None
    return pd.Series(objects, dtype=object)
