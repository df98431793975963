"""The providers that campaigns choose for a connection, where its block chooses none."""

from __future__ import annotations

import orjson
import sqlalchemy as sa

from mailsluice.campaign.identity import Provider
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns

_NEWEST = 100


def route_providers(database: Database) -> dict[str, Provider]:
    """Return the providers of routes by connection, as the newest campaign with one says."""
    routes = (
        sa.func.json_extract(campaigns.c.content, "$.routes")
        if database.is_sqlite
        else sa.cast(sa.cast(campaigns.c.content, sa.JSON())["routes"], sa.Text())
    )
    query = sa.select(routes).order_by(campaigns.c.id.desc()).limit(_NEWEST)
    with database.read() as connection:
        stored = connection.execute(query).scalars().all()
    providers: dict[str, Provider] = {}
    for text in stored:
        for route in orjson.loads(text or "[]"):
            if provider := (route.get("identity") or {}).get("provider"):
                providers.setdefault(route["connection"], Provider(provider))
    return providers
