"""Finding the recipient that a bounce message is about."""

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
    """The recipients of all campaigns, looked up by id or address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_id(self, ids: Collection[int]) -> list[SentTo]:
        """The recipients with these ids; ids without a recipient are skipped."""
        known = [recipient_id for recipient_id in ids if recipient_id <= _MAX_ID]
        return self._find(recipients.c.id.in_(known)) if known else []

    def by_address(self, emails: Collection[str], domains: Collection[str]) -> list[SentTo]:
        """Recipients with these addresses, of campaigns whose sender has one of these domains.

        The addresses may be in any spelling. Campaigns with return paths are left out: a genuine
        report about their mail contains a token, so a report without one is forged or about another
        message. The query reads all recipients of the campaigns, because addresses have no index:
        every launch would have to pay for it.
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
