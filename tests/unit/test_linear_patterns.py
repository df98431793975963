"""Every pattern takes linear time, whatever a server or a stranger writes."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import mailsluice
from mailsluice.core.lazy_pattern import LazyPattern
from mailsluice.core.masking import masked
from mailsluice.core.outcome import Rule
from tests.thorough import some
from tests.unit.growth import TIMES, is_in_proportion

_SHORT = 1_000
_NOTHING = 0.02
"""Seconds. Quadratic work for these lengths takes longer on any machine."""

UNITS = (
    *(
        "a@",
        "a@a.",
        "a@[",
        "<a@b>",
        "<",
        "<a",
        '"',
        '"a"',
        '"a"@',
        "'",
        "(",
        "[",
        "{",
        "|",
        "`",
        "*",
    ),
    *(
        ".",
        "..",
        "a.",
        "-",
        "--",
        "---",
        "a",
        "a-",
        "1",
        "1.",
        "5.",
        "550",
        "5.1.1",
        "550-5.1.1",
        "#",
    ),
    *("/", ":", "http://a", "https://", "www.", "%40", "a%40", "=", "=?", "=?utf-8?b?YQ?=", "+1="),
    *("user", "recipient", "unknown", "mailbox", "limit", "rate", "sent", "block", "ip", "quota"),
    *("exceed", "full", "relay", "host", "said:", "->", "{{", "{%", ";a=", ",", ",a", "_", "~"),
    *(
        "\ufdd0",
        "é",
        "\U0001f600",
        "\0",
        "\\",
        "\\.",
        "user unknow ",
        "a b",
        "> ",
        "- ",
        "1 ",
        "a ",
    ),
    *(" ", "\n", "\r\n", "\t", " \n", "a\n", "..\n", "no such local ", "ip address "),
)
"""Pieces that are repeated to make texts."""


def _held(value: Any, name: str, depth: int = 4) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield the patterns in a module's tables."""
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, LazyPattern):
        yield name, value.compiled
    elif depth and isinstance(value, dict):
        for key, item in value.items():
            yield from _held(item, f"{name}[{key}]", depth - 1)
    elif depth and isinstance(value, tuple | list):
        for index, item in enumerate(value):
            yield from _held(item, f"{name}[{index}]", depth - 1)
    elif isinstance(value, Rule):
        yield from _held(value.words, f"{name}.words", 0)


def _written(source: str, name: str) -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Yield the patterns in calls such as re.sub("...", ...)."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=call),
                args=[ast.Constant(value=str() | bytes() as pattern), *_],
            ) if call != "compile":
                yield f"{name}:{node.lineno}", re.compile(pattern), call in _ANCHORED


def _patterns() -> Iterator[tuple[str, re.Pattern[Any], bool]]:
    """Yield all patterns of the engine, and whether they are only tried at the start of a text."""
    for module in pkgutil.walk_packages(mailsluice.__path__, "mailsluice."):
        if "migrations" in module.name or module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        source = Path(str(loaded.__file__)).read_text()
        for name, value in vars(loaded).items():
            for where, pattern in _held(value, f"{module.name}.{name}"):
                uses = set(re.findall(rf"\b{name}\.(\w+)\(", source))
                yield where, pattern, bool(uses) and uses <= _ANCHORED
        if "re." in source:
            yield from _written(source, module.name)


_ANCHORED = {"match", "fullmatch"}
_CUT = {  # texts that are refused before, where they are longer
    "mailsluice.core.named_address._MAILBOX": 2_000,
    "mailsluice.core.named_address._NAMED": 2_000,
}


def grows_too_fast(work: Callable[[str], object], units: Sequence[str]) -> list[str]:
    """Return the texts that take more than linear time."""
    slow = []
    for unit in units:
        short, long = ((unit * size)[:size] + "@!" for size in (_SHORT, _SHORT * TIMES))
        if not is_in_proportion(work, short, long, _NOTHING):
            slow.append(unit)
    return slow


def _takes_linear_time(
    name: str, pattern: re.Pattern[Any], is_anchored: bool, units: Sequence[str]
) -> bool:
    def work(text: str) -> None:
        text = text[: _CUT.get(name)]
        given = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
        for use in (pattern.match, pattern.fullmatch) if is_anchored else (pattern.findall,):
            use(given)

    return not grows_too_fast(work, units)


def _units(number: int) -> Sequence[str]:
    """Give the pieces for a pattern: all, or a tenth, which differs from pattern to pattern."""
    first = number % len(UNITS)
    return some(UNITS[first:] + UNITS[:first])


@pytest.mark.thorough
def test_every_pattern_takes_linear_time() -> None:
    """In one test: to find the patterns, each process would load the whole engine."""
    found = {(one.pattern, one.flags, anchored): name for name, one, anchored in _patterns()}
    assert len(found) > 70
    slow = [
        name
        for number, ((text, flags, is_anchored), name) in enumerate(found.items())
        if not _takes_linear_time(name, re.compile(text, flags), is_anchored, _units(number))
    ]
    assert slow == []


def test_masking_takes_linear_time() -> None:
    assert not grows_too_fast(masked, UNITS)


def test_quadratic_time_is_noticed() -> None:
    assert grows_too_fast(re.compile(r"[^\s<>@]+@[a-z]+").findall, ["a", "<a"]) == ["a"]
