"""Finding a campaign by its name, and refusing a name that people would confuse with another."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from mailsluice.core.errors import CampaignError
from mailsluice.core.names import LONGEST, campaign_name, likeness, seen
from mailsluice.store.schema import campaigns

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that no database stores in a text."""


def find_by_name(connection: sa.Connection, query: sa.Select[Any], name: str) -> sa.Row[Any] | None:
    """The row that a query over `campaigns` gives for this name.

    An exact match comes first. Earlier versions stored names with invisible characters, or not in
    Unicode's composed form; of several stored names that look like this one, the latest is meant.
    Raises CampaignError for a name that no campaign can have.
    """
    if not _NO_TEXT.search(name):
        exact = connection.execute(query.where(campaigns.c.name == name)).one_or_none()
        if exact is not None:
            return exact
    try:
        wanted = campaign_name(name)
    except ValueError as error:
        raise CampaignError(f"there is no campaign {name[:LONGEST]!r}: {error}") from None
    names = connection.execute(sa.select(campaigns.c.id, campaigns.c.name).order_by(campaigns.c.id))
    same = [row.id for row in names if seen(row.name) == wanted]
    return connection.execute(query.where(campaigns.c.id == same[-1])).one() if same else None


def refuse_alike(connection: sa.Connection, name: str) -> None:
    """Raise CampaignError when a new campaign's name could be taken for a stored one."""
    wanted = likeness(name)
    for known in connection.execute(sa.select(campaigns.c.name)).scalars():
        if likeness(known) == wanted:
            raise CampaignError(
                f"campaign {name!r} could be taken for campaign {known!r}, and everybody would get"
                f" the mail twice: write {known!r} to continue that one, or give the new one a"
                " name that differs in more than case and style of letters"
            )
