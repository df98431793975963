"""The share of all examples and cases that a run of the tests tries.

`make test` tries a tenth: enough to reach each line and to show gross faults. `make thorough`, with
THOROUGH=1, tries all of it: the laws of hypothesis, and the tests marked `thorough`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")
Test = TypeVar("Test", bound=Callable[..., Any])

IS_THOROUGH = bool(os.environ.get("THOROUGH"))
LAW_EXAMPLES = 100
_TENTH, _LEAST = 10, 5


def examples(count: int = LAW_EXAMPLES) -> int:
    """Return how many examples of a law this run tries, of the `count` of a thorough one."""
    return count if IS_THOROUGH else max(count // _TENTH, _LEAST)


def thorough_only(*cases: Case) -> Sequence[Case]:
    """Return cases for a thorough run, none for others: these cases repeat what others show."""
    return cases if IS_THOROUGH else ()


def in_thorough_runs(why: str) -> Callable[[Test], Test]:
    """Mark a test that only a thorough run has to run; `why` says what shows the same."""
    skipped = pytest.mark.skipif(not IS_THOROUGH, reason=f"{why}: make thorough runs it")
    return lambda test: pytest.mark.thorough(skipped(test))


def some(cases: Sequence[Case], every: int = _TENTH) -> Sequence[Case]:
    """Return the cases of a large table that this run tries: all, or every tenth.

    `every` is smaller where cases have less in common.
    """
    return cases if IS_THOROUGH else cases[::every]
