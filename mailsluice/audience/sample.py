"""Single recipients of an audience, with their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.audience.chunk import as_array
from mailsluice.audience.keys import address_keys
from mailsluice.audience.resolved import Audience
from mailsluice.core.errors import AudienceError


@dataclass(frozen=True, slots=True)
class Sample:
    """A recipient: the address and the values of the row's columns."""

    email: str = field(repr=False)
    variables: dict[str, str] = field(repr=False)
    row: int = field(default=0, compare=False)
    """The row in the source, from 1; 0 if the recipient is not from a source."""


def first_in(audience: Audience, order: npt.NDArray[np.int64], count: int) -> list[Sample]:
    """Return the first `count` recipients of a send order. Reads the whole audience."""
    rows: list[Any] = []
    for chunk in audience.chunks(order[:count]):
        rows += zip(chunk["email"], chunk["variables"], chunk["row"].tolist(), strict=True)
    return [Sample(email, orjson.loads(variables), row) for email, variables, row in rows]


def find(audience: Audience, email: str) -> Sample:
    """Return the recipient with this address, in whatever spelling.

    Raises AudienceError, without the address, if the audience has no such recipient.
    """
    normalised = normalise(pd.Series([email], dtype="str"))["email"]
    key = address_keys(as_array(normalised))
    positions = np.flatnonzero((audience.address_keys == key).all(axis=1))
    if not len(positions):
        raise AudienceError(
            "the chosen recipient is not in the audience, or is excluded or suppressed: correct the"
            " address, or leave it empty to take the first recipient in send order"
        )
    return first_in(audience, positions, 1)[0]
