"""Dates as other systems write them in lists. Pure.

A date is read if it can mean one day only, and lies between 1990, before which nobody kept lists of
addresses, and tomorrow, since other time zones are ahead. Anything else (a row number, a day of
Excel's calendar, the 9999-12-31 of a database) would become a wrong date without a word.

Only texts of the forms below go to pandas. Without them it also reads `now`, `12:30` and `may`, and
fails at years that nanoseconds do not reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT, as_array

EARLIEST = 631_152_000.0
"""The beginning of 1990, in seconds since the epoch."""
_UNITS_A_SECOND = (1, 1e3, 1e6, 1e9)
"""Seconds, milli-, micro- and nanoseconds: their ranges from 1990 to tomorrow do not overlap."""

# Numbers with a small e are exact; spreadsheets write `1.7E+12`, and drop digits.
_NUMBER = r"^[0-9]{1,20}(\.[0-9]{1,20})?(e\+[0-9]{2})?$"
_YEAR, _NUMERAL = "((?:19|20)[0-9]{2})", "([0-9]{1,2})"
_TO_12, _FROM_13 = "(0?[1-9]|1[0-2])", "(1[3-9]|[23][0-9])"
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[.]?"
_WEEKDAY = "(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}[.]?,? +)?"
_CLOCK = "[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?(?: ?[ap]m)?"
_ZONE = "(?: ?(?:z|utc|gmt|[+-][0-9]{2}(?::?[0-9]{2})?)(?: [(][a-z]{1,5}[)])?)?"
_TIME = f"((?:(?:t|,? +){_CLOCK}{_ZONE})?)"

_READ_AS_THEY_ARE = (
    f"(?i)^{_YEAR}[0-9]{{4}}(?:t?[0-9]{{6}}{_ZONE})?$",  # 20261124T101500Z
    f"(?i)^{_WEEKDAY}{_NUMERAL}[ -]{_MONTH}[ -]{_YEAR}{_TIME}$",  # Tue, 24 Nov 2026 10:15:00 GMT
    f"(?i)^{_WEEKDAY}{_MONTH} +{_NUMERAL},? +{_YEAR}{_TIME}$",  # Nov 24, 2026
    f"(?i)^{_WEEKDAY}{_MONTH} +{_NUMERAL} +{_CLOCK}{_ZONE} {_YEAR}$",  # Tue Nov 24 10:15:00 2026
)
_DAY_FIRST, _MONTH_FIRST = r"\3-\2-\1\4", r"\3-\1-\2\4"
_SHOWS_DAY_FIRST = f"(?i)^{_FROM_13}[-/]{_TO_12}[-/]{_YEAR}{_TIME}$"
_SHOWS_MONTH_FIRST = f"(?i)^{_TO_12}[-/]{_FROM_13}[-/]{_YEAR}{_TIME}$"
_SHOWS_NEITHER = f"(?i)^{_TO_12}[-/]{_TO_12}[-/]{_YEAR}{_TIME}$"
_REORDERED = {
    f"(?i)^{_YEAR}[-/.]{_NUMERAL}[-/.]{_NUMERAL}{_TIME}$": r"\1-\2-\3\4",
    f"(?i)^{_NUMERAL}[.]{_NUMERAL}[.]{_YEAR}{_TIME}$": _DAY_FIRST,
    _SHOWS_DAY_FIRST: _DAY_FIRST,
    _SHOWS_MONTH_FIRST: _MONTH_FIRST,
}


class DateReader:
    """Reads the dates of one list.

    `13/04/2026` shows that a list puts the day first, which decides for its `03/04/2026`. In a list
    that shows no order, or both, such a date is not read.
    """

    def __init__(self, latest: float, all_texts: Callable[[], Iterable[pd.Series[str]]]) -> None:
        """Prepare to read dates up to `latest`, in seconds since the epoch.

        `all_texts` reads the dates of the whole list; it is called if their order matters.
        """
        self._latest = latest
        self._all_texts = all_texts

    def read(self, texts: pd.Series[str]) -> pd.Series[float]:
        """Return seconds since the epoch for texts (n,); NaN where a text is no certain date."""
        given = as_array(texts)
        return self._moments(given).fillna(self._numbers(given)).set_axis(texts.index)

    def _numbers(self, texts: pa.Array) -> pd.Series[float]:
        is_number = pc.match_substring_regex(texts, _NUMBER)
        numbers = pc.if_else(is_number, texts, pa.scalar(None, TEXT)).cast(pa.float64())
        values = pd.Series(numbers.to_numpy(zero_copy_only=False))
        seconds = pd.Series(float("nan"), values.index)
        for units in _UNITS_A_SECOND:
            seconds = seconds.fillna(self._in_range(values / units))
        return seconds

    def _moments(self, texts: pa.Array) -> pd.Series[float]:
        forms = dict(_REORDERED)
        if pc.any(pc.match_substring_regex(texts, _SHOWS_NEITHER)).as_py() and self._order:
            forms[_SHOWS_NEITHER] = self._order
        is_date = _matches(texts, *_READ_AS_THEY_ARE, *forms)
        dates = pc.if_else(is_date, texts, "")
        for form, order in forms.items():
            dates = pc.replace_substring_regex(dates, form, order)
        moments = pd.to_datetime(
            pd.Series(dates.to_pandas(), dtype="str"), errors="coerce", utc=True, format="mixed"
        )
        return self._in_range((moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))

    def _in_range(self, seconds: pd.Series[float]) -> pd.Series[float]:
        return seconds.where((seconds >= EARLIEST) & (seconds <= self._latest))

    @cached_property
    def _order(self) -> str:
        """The order of day and month that some dates show; empty if none do, or they differ."""
        shown: set[str] = set()
        for texts in self._all_texts():
            given = as_array(texts)
            for form, order in _SHOWN.items():
                if pc.any(pc.match_substring_regex(given, form)).as_py():
                    shown.add(order)
        return shown.pop() if len(shown) == 1 else ""


_SHOWN = {_SHOWS_DAY_FIRST: _DAY_FIRST, _SHOWS_MONTH_FIRST: _MONTH_FIRST}


def _matches(texts: pa.Array, *forms: str) -> pa.Array:
    """Whether each of the texts (n,) has one of the forms."""
    matches = pc.match_substring_regex(texts, forms[0])
    for form in forms[1:]:
        matches = pc.or_(matches, pc.match_substring_regex(texts, form))
    return matches
