"""Rows of counts to compare, one for each connection, domain and campaign."""

from __future__ import annotations

from typing import Any


def row(connection: str, mail: int, deferred: int = 0, **fields: Any) -> dict[str, Any]:
    failed = fields.pop("failed", 0)
    rest = {"bounced": 0, "moved": 0, "uncertain": 0, "campaign": "spring", "domain": "a.example"}
    return {
        **rest,
        "connection": connection,
        "mail": mail,
        "accepted": mail - failed,
        "deferred": deferred,
        "failed": failed,
        **fields,
    }
