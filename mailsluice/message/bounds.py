"""The cost that a template may have: how much text it makes, in how many steps. Pure.

A template can double a text in a loop, pad it to a hundred million characters, or count to a
trillion. A limit of time would fail good messages on a slow machine, and no thread can be stopped
in the middle. So what a template does is counted before it is done: the text that an operator, a
filter or a call is about to make, and steps (turns of a loop, calls, filters).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

MOST_RENDERED = 2_000_000
"""Characters of a rendered subject, text, HTML or address: twenty times what Gmail shows."""
_MOST_MADE = 10_000_000
"""Characters of all texts that are made on the way to it."""
_MOST_STEPS = 20_000
_WIDEST = 100_000
"""The highest number that says how long a text or a list becomes."""
_MOST_PLACES = 100
_LONGEST_SLOW = 10_000
_SLOW = frozenset(("urlize", "wordwrap", "striptags", "pprint", "xmlattr"))
"""Filters whose time grows faster than the text."""
_NUMBER = re.compile("[0-9]+")
_SPECIFICATIONS = re.compile(
    r"%(?:\([^()]*\))?([-#0 +]*[0-9*]*(?:\.[0-9*]*)?)|\{[^{}]*:([^{}]*)(\{?)"
)
"""Of `%` and of `format`; the last group is there where a width is among the values."""


class TooMuchError(SecurityError):
    """A template that would cost too much."""


def too_long() -> TooMuchError:
    """The error for a rendered text that is too long."""
    return TooMuchError(f"it would be more than {MOST_RENDERED:,} characters long: shorten it")


class Budget(threading.local):
    """The cost that is left for the template that this thread renders."""

    characters = _MOST_MADE
    steps = _MOST_STEPS

    def begin(self) -> None:
        """Another template begins."""
        self.characters, self.steps = _MOST_MADE, _MOST_STEPS

    def step(self) -> None:
        """Count a turn of a loop, a call, a filter."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuchError(f"more than {_MOST_STEPS:,} steps: shorten its loops")

    def make(self, characters: int) -> None:
        """Count text, or items of a list, before they are made."""
        self.characters -= characters
        if self.characters < 0:
            raise TooMuchError(f"it makes more than {_MOST_MADE:,} characters: shorten it")

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items of a loop, a step each."""
        for item in items:
            self.step()
            yield item

    def joined(self, pieces: Iterable[str]) -> str:
        """Join texts, as Jinja does for what a block, a macro or a filter block holds."""
        parts = list(pieces)
        self.make(sum(map(len, parts)))
        return "".join(parts)

    def apply(self, name: str, given: Sequence[Any]) -> None:
        """Count what a filter or a method of this name is about to make of these values.

        The first one is what it is applied to.
        """
        self.step()
        longest = size(given[0]) if given else 0
        if name in _SLOW and longest > _LONGEST_SLOW:
            raise TooMuchError(f"{name} takes at most {_LONGEST_SLOW:,} characters")
        self.make(sum(map(size, given)))
        if growth := _GROWTH.get(name):
            self.make(growth(given))


def size(value: Any) -> int:
    """About how many characters a value is as text; counted no further than to the limit."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    return _size(value, {})


def _size(value: Any, known: dict[int, int]) -> int:
    """The same; `known` has lists and mappings by identity, so that each is walked once."""
    if isinstance(value, str | range):
        return 1 + len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return 1
    if (total := known.get(id(value))) is None:
        known[id(value)] = _MOST_MADE + 1  # a list within itself has no end
        total = 1
        items = chain(value.keys(), value.values()) if isinstance(value, Mapping) else value
        for item in items:
            total += _size(item, known)
            if total > _MOST_MADE:
                break
        known[id(value)] = total
    return total


def format_size(template: str, values: Iterable[Any]) -> int:
    """The most characters that a format (`%`, `format`) can make of these values."""
    given = list(values)
    texts = ["".join(found) for found in _SPECIFICATIONS.findall(template)]
    if any("*" in text or "{" in text for text in texts):
        texts += [str(one)[:_WIDEST] for one in given]
    widths = sum(_width(number) for text in texts for number in _NUMBER.findall(text))
    holes = template.count("%") + template.count("{")
    return len(template) + (1 + holes) * (max(map(size, given), default=0) + widths)


def _width(number: Any) -> int:
    """A number that says how long something becomes."""
    if len(str(number)) > len(str(_WIDEST)) + 1 or abs(int(number)) > _WIDEST:
        raise TooMuchError(f"a width, a length or a count is at most {_WIDEST:,}")
    return abs(int(number))


def _widths(given: Sequence[Any]) -> int:
    return sum(_width(one) for one in given[1:] if isinstance(one, int))


def _lines(given: Sequence[Any]) -> int:
    """Something is put before each line, or after it."""
    text = str(given[0])
    put = _widths(given) + sum(len(one) for one in given[1:] if isinstance(one, str))
    return (1 + len(text.splitlines())) * put


def _wrapped(given: Sequence[Any]) -> int:
    width = next((one for one in given[1:] if type(one) is int and one > 0), 79)
    lines = len(str(given[0])) // width + len(str(given[0]).splitlines()) + 1
    return lines * (1 + sum(len(one) for one in given[1:] if isinstance(one, str)))


def _joined(given: Sequence[Any]) -> int:
    """A text between items: of a list, and of a text."""
    first, second = (*given[:2], "", "")[:2]
    items, between = (first, second) if isinstance(second, str) else (second, first)
    shorter = min(len(items) if hasattr(items, "__len__") else _MOST_STEPS, _MOST_MADE)
    longest = max(shorter * size(between), size(items) * min(size(between), 1))
    return longest if not isinstance(first, str) else longest + size(first) * size(second)


def _replaced(given: Sequence[Any]) -> int:
    text, old, new = (str(one) for one in (*given, "", "")[:3])
    return (text.count(old) if old else len(text) + 1) * len(new)


def _added(given: Sequence[Any]) -> int:
    if any(not isinstance(one, int | float) for one in given[2:] if one is not None):
        raise TooMuchError("sum adds numbers only")
    return 0


def _rounded(given: Sequence[Any]) -> int:
    if any(isinstance(one, int) and abs(one) > _MOST_PLACES for one in given[1:]):
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
"""How much text a filter makes besides the values themselves."""
