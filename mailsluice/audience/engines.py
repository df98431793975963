"""The databases that the queries of a campaign's document read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Engine

from mailsluice.core.errors import CampaignError

Engines = Mapping[str, Engine]
"""Engines by the names in the `database` of the sources."""

Connect = Callable[[str], Engine]
"""Returns the engine of a database by its name in the document."""


def engine_of(engines: Engines, name: str) -> Engine:
    """Return the engine of a database by its name. Raises CampaignError if there is none."""
    if name not in engines:
        given = ", ".join(engines) or "none"
        raise CampaignError(f"there is no database {name!r} (given: {given}): pass its engine")
    return engines[name]
