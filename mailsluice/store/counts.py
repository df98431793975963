"""Counts of recipients by connection and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.core.status import OPEN, RecipientStatus


@dataclass(frozen=True, slots=True)
class Counts:
    """Recipients by connection and state, and how many the campaign accepted."""

    accepted: int
    by_connection: Mapping[str, Mapping[RecipientStatus, int]]

    def of(self, *statuses: RecipientStatus, connection: str | None = None) -> int:
        """Recipients in one of these states, or in any when none is named."""
        rows = self.by_connection
        chosen = rows.values() if connection is None else [rows.get(connection, {})]
        return sum(
            number
            for row in chosen
            for status, number in row.items()
            if not statuses or status in statuses
        )

    @property
    def open(self) -> int:
        """Recipients whose mail is not settled yet."""
        return self.of(*OPEN)

    @property
    def is_conserved(self) -> bool:
        """Whether every accepted recipient is in exactly one state."""
        return self.of() == self.accepted
