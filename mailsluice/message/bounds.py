"""Bound the cost of a template: the text that it makes, and the steps that it takes. Pure.

A template can double a text in a loop, pad it to a hundred million characters, or count to a
trillion. A limit of time would fail good messages on a slow machine, and a thread cannot be
stopped. So the cost is counted in advance: the characters that an operator, a filter or a call is
about to make, and the steps (iterations, calls, filters).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

MOST_RENDERED = 2_000_000
"""Characters of a rendered subject, text, HTML or address: twenty times as many as Gmail shows."""
_MOST_MADE = 10_000_000
"""Characters of all texts that a template makes in the course of rendering."""
_MOST_STEPS = 20_000
_WIDEST = 100_000
"""The highest width, length or count that an argument may ask for."""
_MOST_PLACES = 100
_LONGEST_SLOW = 10_000
_SLOW = frozenset(("urlize", "wordwrap", "striptags", "pprint", "xmlattr"))
"""Filters whose time grows faster than the text."""
_NUMBER = re.compile("[0-9]+")
_SPECIFICATIONS = re.compile(
    r"%(?:\([^()]*\))?([-#0 +]*[0-9*]*(?:\.[0-9*]*)?)|\{[^{}]*:([^{}]*)(\{?)"
)
"""Specifications of `%` and `format`; the last group matches if a value gives the width."""


class TooMuchError(SecurityError):
    """A template that would cost too much."""


def too_long() -> TooMuchError:
    """Return the error for a rendered text that is too long."""
    return TooMuchError(f"it would be more than {MOST_RENDERED:,} characters long: shorten it")


class Budget(threading.local):
    """The cost that is left to the template that this thread is rendering."""

    characters = _MOST_MADE
    steps = _MOST_STEPS

    def begin(self) -> None:
        """Start the budget of another template."""
        self.characters, self.steps = _MOST_MADE, _MOST_STEPS

    def step(self) -> None:
        """Count an iteration, a call or a filter."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuchError(f"more than {_MOST_STEPS:,} steps: shorten its loops")

    def make(self, characters: int) -> None:
        """Count characters, or items of a list, before they are made."""
        self.characters -= characters
        if self.characters < 0:
            raise TooMuchError(f"it makes more than {_MOST_MADE:,} characters: shorten it")

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items of a loop, counting a step for each."""
        for item in items:
            self.step()
            yield item

    def joined(self, pieces: Iterable[str]) -> str:
        """Join the texts of a block, a macro or a filter block, for Jinja."""
        parts = list(pieces)
        self.make(sum(map(len, parts)))
        return "".join(parts)

    def apply(self, name: str, given: Sequence[Any]) -> None:
        """Count the characters that a filter or a method is about to make.

        Args:
            name: The name of the filter or method.
            given: The value that it is applied to, and its arguments.
        """
        self.step()
        longest = size(given[0]) if given else 0
        if name in _SLOW and longest > _LONGEST_SLOW:
            raise TooMuchError(f"{name} takes at most {_LONGEST_SLOW:,} characters")
        self.make(sum(map(size, given)))
        if growth := _GROWTH.get(name):
            self.make(growth(given))


def size(value: Any) -> int:
    """Return about how many characters a value has as text; counting stops at the limit."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    return _size(value, {})


def _size(value: Any, known: dict[int, int]) -> int:
    """Return the size; `known` has those of lists and mappings by id, so each is walked once."""
    if isinstance(value, str | range):
        return 1 + len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return 1
    if (total := known.get(id(value))) is None:
        known[id(value)] = _MOST_MADE + 1  # for a list that contains itself
        total = 1
        items = chain(value.keys(), value.values()) if isinstance(value, Mapping) else value
        for item in items:
            total += _size(item, known)
            if total > _MOST_MADE:
                break
        known[id(value)] = total
    return total


def format_size(template: str, values: Iterable[Any]) -> int:
    """Return the most characters that a format (`%`, `format`) can make of these values."""
    given = list(values)
    texts = ["".join(groups) for groups in _SPECIFICATIONS.findall(template)]
    if any("*" in text or "{" in text for text in texts):
        texts += [str(value)[:_WIDEST] for value in given]
    widths = sum(_width(number) for text in texts for number in _NUMBER.findall(text))
    holes = template.count("%") + template.count("{")
    return len(template) + (1 + holes) * (max(map(size, given), default=0) + widths)


def _width(number: Any) -> int:
    """Return a width, length or count, after checking it."""
    if len(str(number)) > len(str(_WIDEST)) + 1 or abs(int(number)) > _WIDEST:
        raise TooMuchError(f"a width, a length or a count is at most {_WIDEST:,}")
    return abs(int(number))


def _widths(given: Sequence[Any]) -> int:
    return sum(_width(value) for value in given[1:] if isinstance(value, int))


def _lines(given: Sequence[Any]) -> int:
    """Count the text that a filter adds to each line."""
    text = str(given[0])
    added = _widths(given) + sum(len(value) for value in given[1:] if isinstance(value, str))
    return (1 + len(text.splitlines())) * added


def _wrapped(given: Sequence[Any]) -> int:
    width = next((value for value in given[1:] if type(value) is int and value > 0), 79)
    lines = len(str(given[0])) // width + len(str(given[0]).splitlines()) + 1
    return lines * (1 + sum(len(value) for value in given[1:] if isinstance(value, str)))


def _joined(given: Sequence[Any]) -> int:
    """Count the text of the filter `join` (a list, the separator) and the method (the reverse)."""
    first, second = (*given[:2], "", "")[:2]
    items, between = (first, second) if isinstance(second, str) else (second, first)
    shorter = min(len(items) if hasattr(items, "__len__") else _MOST_STEPS, _MOST_MADE)
    longest = max(shorter * size(between), size(items) * min(size(between), 1))
    return longest if not isinstance(first, str) else longest + size(first) * size(second)


def _replaced(given: Sequence[Any]) -> int:
    text, old, new = (str(value) for value in (*given, "", "")[:3])
    return (text.count(old) if old else len(text) + 1) * len(new)


def _added(given: Sequence[Any]) -> int:
    if any(not isinstance(value, int | float) for value in given[2:] if value is not None):
        raise TooMuchError("sum adds numbers only")
    return 0


def _rounded(given: Sequence[Any]) -> int:
    if any(isinstance(value, int) and abs(value) > _MOST_PLACES for value in given[1:]):
        raise TooMuchError(f"round takes at most {_MOST_PLACES} places")
    return 0


_GROWTH: Mapping[str, Callable[[Sequence[Any]], int]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill", "truncate", "batch", "slice"), _widths),
    "expandtabs": lambda given: str(given[0]).count("\t") * (_widths(given) or 8),
    "indent": _lines,
    "tojson": lambda given: size(given[0]) * (5 + _widths(given)),
    "wordwrap": _wrapped,
    "join": _joined,
    "replace": _replaced,
    "round": _rounded,
    "sum": _added,
    "format": lambda given: format_size(str(given[0]), given[1:]),
    "format_map": lambda given: format_size(str(given[0]), given[1:]),
    **dict.fromkeys(("escape", "e", "forceescape", "urlencode"), lambda given: 8 * size(given[0])),
}
"""Functions that count the characters a filter adds to its values, by the filter's name."""
