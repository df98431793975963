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
    """One recipient: the address and the row's columns."""

    email: str = field(repr=False)
    variables: dict[str, str] = field(repr=False)
    row: int = field(default=0, compare=False)
    """Its row in the source, counted from 1; 0: it has none."""


def first_in(audience: Audience, order: npt.NDArray[np.int64], number: int) -> list[Sample]:
    """The first so many recipients of a send order, in that order. Goes through the audience."""
    rows: list[Any] = []
    for chunk in audience.chunks(order[:number]):
        rows += zip(chunk["email"], chunk["variables"], chunk["row"].tolist(), strict=True)
    return [Sample(email, orjson.loads(variables), row) for email, variables, row in rows]


def find(audience: Audience, email: str) -> Sample:
    """The recipient with this address, however it is written.

    Raises AudienceError, without the address, where there is none.
    """
    known = normalise(pd.Series([email], dtype="str"))["email"]
    key = address_keys(as_array(known))
    found = np.flatnonzero((audience.address_keys == key).all(axis=1))
    if not len(found):
        raise AudienceError(
            "the chosen recipient is not in the audience: correct the address, or leave it empty "
            "for the first in send order; who is excluded or suppressed is not in it either"
        )
    return first_in(audience, found, 1)[0]
