"""Rows of counts to compare, one for each connection, provider and campaign."""

from __future__ import annotations

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
