"""Rows of counts to compare, one for each connection, provider and campaign."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mailsluice.reports.comparison.observed import NUMBERS


def row(connection: str, mail: int, deferred: int = 0, **fields: Any) -> dict[str, Any]:
    failed = fields.pop("failed", 0)
    rest: dict[str, Any] = dict.fromkeys([*NUMBERS, "moved", "uncertain"], 0)
    rest |= {"campaign": "spring", "provider": "a.example"}
    return {
        **rest,
        "connection": connection,
        "mail": mail,
        "accepted": mail - failed,
        "deferred": deferred,
        "failed": failed,
        **fields,
    }


@contextmanager
def strict_warnings() -> Iterator[None]:
    """Fail at a warning of the code in the block.

    Garbage collection may find a socket there that another test has left open: that is no warning
    of this code.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        yield
