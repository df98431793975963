"""The parts of a campaign that are watched and held by themselves. Pure."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = 0
"""The provider of recipients that were stored before providers were; it cannot be held."""


class Unit(NamedTuple):
    """A provider on a connection, or a whole connection."""

    connection: str
    provider: int | None = None
    """The provider's number in the campaign; None: every provider."""

    @property
    def whole(self) -> Unit:
        """The connection as a whole."""
        return Unit(self.connection)
