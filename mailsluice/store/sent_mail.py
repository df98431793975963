"""Whom mail was sent to, looked up by what a mail that came back says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces.matching import SentTo
from mailsluice.core.folding import folded
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns, compared, recipients

_COLUMNS = (
    recipients.c.id.label("recipient_id"),
    recipients.c.email,
    recipients.c.connection,
    recipients.c.campaign_id,
    campaigns.c.name.label("campaign"),
    campaigns.c.return_key,
    sa.func.coalesce(campaigns.c.sender_domain, "").label("sender_domain"),
)
_MAX_ID = 2**63 - 1


class SentMail:
    """Reads `recipients` and `campaigns`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_id(self, ids: Collection[int]) -> list[SentTo]:
        """The recipients with these ids; those that there are."""
        known = [one for one in ids if one <= _MAX_ID]
        return self._find(recipients.c.id.in_(known)) if known else []

    def by_address(self, emails: Collection[str], domains: Collection[str]) -> list[SentTo]:
        """Recipients with these addresses, of campaigns whose sender is in one of these domains.

        Campaigns with return paths are left out: reports about their mail name a token, so one
        without it is made up, or is about something else.

        The addresses may be in any spelling. Reads all recipients of these campaigns: addresses
        have no index of their own, which every launch would have to pay for.
        """
        if not emails or not domains:
            return []
        of = sa.select(campaigns.c.id).where(
            campaigns.c.sender_domain.in_(domains), sa.not_(campaigns.c.has_return_paths)
        )
        is_named = compared.in_({folded(email) for email in emails})
        return self._find(sa.and_(recipients.c.campaign_id.in_(of), is_named))

    def _find(self, condition: sa.ColumnElement[bool]) -> list[SentTo]:
        query: sa.Select[Any] = sa.select(*_COLUMNS).join(campaigns).where(condition)
        with self._database.read() as connection:
            return [SentTo(**row) for row in connection.execute(query).mappings()]
