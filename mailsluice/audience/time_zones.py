"""The time zone of each recipient, read from a column of time zones, of countries, or both.

A value is looked up once, however many rows have it: lists have few distinct ones. The sending
window's own zone stands for the zone of recipients whose values tell none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from mailsluice.audience.chunk import as_array
from mailsluice.audience.columns import missing_column
from mailsluice.core.countries import zone_of_country
from mailsluice.core.errors import AudienceError
from mailsluice.core.zone_names import zone_named

Numbers = npt.NDArray[np.int16]

_LONGEST_READ = 100  # characters: every name of a zone or a country is shorter
_MOST_REMEMBERED = 10_000
_EMPTY, _UNREADABLE, _FIRST_ZONE = range(3)


@dataclass(frozen=True, slots=True, eq=False)
class TimeZones:
    """The time zones of an audience."""

    numbers: Numbers
    """(n,) by audience index; 1 is the zone of most recipients."""
    counts: Mapping[str, int]
    """The recipients of each zone, in the order of the numbers; an empty name stands for the
    sending window's own zone."""
    empty: int
    """Recipients without a value."""
    unreadable: int
    """Recipients with a value that is no time zone, or no country."""

    def notes(self) -> list[str]:
        """Return a warning about recipients whose time zone is not known."""
        unknown = self.empty + self.unreadable
        if not unknown:
            return []
        causes = [f"{self.empty:,} without a value"] if self.empty else []
        if self.unreadable:
            causes.append(f"{self.unreadable:,} with a value that is no time zone or country")
        rows = "1 row" if unknown == 1 else f"{unknown:,} rows"
        return [
            f"{rows} without a known time zone: the sending window's own one applies"
            f" ({', '.join(causes)})"
        ]


@dataclass(slots=True)
class _Column:
    """A column of the document, and the codes of its values as far as they are remembered."""

    name: str
    field_name: str
    look_up: Callable[[str], str | None]
    is_found: bool = False
    """Whether a source has the column."""
    remembered: dict[str, int] = field(default_factory=lambda: {"": _EMPTY})

    def codes(
        self, variables: pd.DataFrame, valid: npt.NDArray[np.bool], zones: dict[str, int]
    ) -> Numbers:
        """Return the code of each valid row's zone, and add new zones to `zones`."""
        if self.name not in variables:
            return np.full(np.count_nonzero(valid), _EMPTY, np.int16)
        self.is_found = True
        texts = pc.utf8_trim_whitespace(as_array(variables[self.name][valid]))
        encoded = pc.utf8_slice_codeunits(texts, 0, _LONGEST_READ).dictionary_encode()
        codes = [self._code(value, zones) for value in encoded.dictionary.to_pylist()]
        result: Numbers = np.array(codes, np.int16)[encoded.indices.to_numpy()]
        return result

    def _code(self, value: str, zones: dict[str, int]) -> int:
        code = self.remembered.get(value)
        if code is None:
            zone = self.look_up(value)
            code = zones.setdefault(zone, _FIRST_ZONE + len(zones)) if zone else _UNREADABLE
            if len(self.remembered) < _MOST_REMEMBERED:
                self.remembered[value] = code
        return code


class TimeZoneReader:
    """Reads the columns a chunk at a time, in a buffer that grows in place."""

    def __init__(self, zone_column: str | None, country_column: str | None) -> None:
        """Read the zones of one column, the countries of another one, or both."""
        self._columns: list[_Column] = []
        if zone_column:
            self._columns.append(_Column(zone_column, "zone_column", zone_named))
        if country_column:
            self._columns.append(_Column(country_column, "country_column", zone_of_country))
        self._zones: dict[str, int] = {}
        """The codes of the zones seen so far."""
        self._names: set[str] = set()
        """The columns of all sources."""
        self._codes = bytearray()
        """int16 by valid row."""

    def add(self, variables: pd.DataFrame, valid: npt.NDArray[np.bool]) -> None:
        """Read the zones of a chunk's valid rows; a source without the columns has none."""
        self._names.update(variables.columns)
        codes = np.full(np.count_nonzero(valid), _EMPTY, np.int16)
        for column in self._columns:
            further = column.codes(variables, valid, self._zones)
            codes = np.where(codes < _FIRST_ZONE, np.maximum(codes, further), codes)
        self._codes += codes.tobytes()

    def finish(self, accepted: npt.NDArray[np.bool]) -> TimeZones:
        """Return the zones of the accepted among the valid rows.

        Raises AudienceError if no source has a column, or no recipient a known zone: the columns
        are wrong ones then.
        """
        for column in self._columns:
            if len(accepted) and not column.is_found:
                purpose = "that tells time zones"
                raise missing_column(column.name, self._names, purpose, column.field_name)
        codes = np.frombuffer(self._codes, np.int16)[accepted]
        names = ["", "", *self._zones]
        totals = np.bincount(codes, minlength=len(names)).tolist()
        empty, unreadable = totals[:_FIRST_ZONE]
        if len(codes) and len(codes) == empty + unreadable:
            raise self._useless()
        counts = {
            "": empty + unreadable,
            **dict(zip(names[_FIRST_ZONE:], totals[_FIRST_ZONE:], strict=True)),
        }
        ranked = sorted(filter(counts.get, counts), key=lambda name: (-counts[name], name))
        number = {name: i for i, name in enumerate(ranked, start=1)}
        of_code = np.array([number.get(name, 0) for name in names], np.int16)
        return TimeZones(of_code[codes], {name: counts[name] for name in ranked}, empty, unreadable)

    def _useless(self) -> AudienceError:
        named = " and ".join(f"{column.field_name} {column.name!r}" for column in self._columns)
        return AudienceError(
            f"no recipient has a known time zone by {named}: time zones are written as"
            " Europe/Berlin or +02:00, countries as DE, DEU or Germany. Name another column, or"
            " leave it empty to send by the sending window's own time zone"
        )
