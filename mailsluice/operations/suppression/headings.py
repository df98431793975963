"""The columns of a list, by the headings that common providers use. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from mailsluice.audience.chunk import as_array
from mailsluice.core.spreadsheet import from_text

# Reduced to letters; of several columns the first in this order counts.
DATE = (
    *("date", "created", "createdat", "lastupdatetime", "timestamp"),
    *("unsubtime", "cleantime", "blockedat"),  # Mailchimp, Brevo
)
REASON = ("reason", "suppressionreason", "type")
TYPE, SOURCE, ORIGIN = ("type",), ("source",), ("origin",)
UNSUBSCRIBED_AT, CLEANED_AT = ("unsubtime",), ("cleantime",)


class Headings:
    """Finds columns in a part of a list by their headings."""

    def __init__(self, given: pd.DataFrame, *, is_csv: bool) -> None:
        """`given` has the columns as text; the cells of a CSV file may have an apostrophe added."""
        self._given = given
        self._is_csv = is_csv

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._given)

    def columns(self, headings: Sequence[str]) -> list[pd.Series[str]]:
        """The columns (n,) with these headings, in the order of `headings`."""
        names = [(letters(name), name) for name in self._given.columns]
        return [
            self._cells(name) for heading in headings for found, name in names if found == heading
        ]

    def texts(self, headings: Sequence[str]) -> pd.Series[str]:
        """The first text of each row under these headings (n,); empty where there is none."""
        texts = pd.Series("", index=self._given.index, dtype="str")
        for column in self.columns(headings):
            texts = texts.where(texts != "", column)
        return texts

    def _cells(self, name: str) -> pd.Series[str]:
        cells = self._given[name]
        if self._is_csv:  # what `as_text` added, so that an exported list comes back the same
            values = from_text(as_array(cells)).to_pandas()
            cells = pd.Series(values.to_numpy(), index=cells.index, dtype="str")
        return cells.str.strip()


def letters(text: str) -> str:
    """Reduce a heading or a word to its letters from a to z, in lower case."""
    return re.sub(r"[^a-z]", "", text.lower())
