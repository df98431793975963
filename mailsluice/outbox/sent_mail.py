"""Whom mail was sent to, looked up by what a mail that came back says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mailsluice.folding import folded
from mailsluice.message.identity import ascii_domain
from mailsluice.outbox.database import Database
from mailsluice.outbox.schema import campaigns, compared, recipients
from mailsluice.returned.matching import SentTo

_COLUMNS = (
    recipients.c.id.label("recipient_id"),
    recipients.c.email,
    recipients.c.connection,
    recipients.c.campaign_id,
    campaigns.c.name.label("campaign"),
    campaigns.c.return_key,
)
_MAX_ID = 2**63 - 1


class SentMail:
    """Reads `recipients` and `campaigns`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._domains: dict[int, str] | None = None

    def by_id(self, ids: Collection[int]) -> list[SentTo]:
        """The recipients with these ids; those that there are."""
        known = [one for one in ids if one <= _MAX_ID]
        return self._find(recipients.c.id.in_(known)) if known else []

    def by_address(self, emails: Collection[str], domains: Collection[str]) -> list[SentTo]:
        """Recipients with these addresses, of campaigns whose sender is in one of these domains.

        The addresses may be in any spelling. Reads all recipients of these campaigns: addresses
        have no index of their own, which every launch would have to pay for.
        """
        of = [one for one, domain in self._sender_domains().items() if domain in domains]
        if not emails or not of:
            return []
        is_named = compared.in_({folded(email) for email in emails})
        return self._find(sa.and_(recipients.c.campaign_id.in_(of), is_named))

    def _find(self, condition: sa.ColumnElement[bool]) -> list[SentTo]:
        query: sa.Select[Any] = sa.select(*_COLUMNS).join(campaigns).where(condition)
        domains = self._domains or {}
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [SentTo(**row, sender_domain=domains.get(row["campaign_id"], "")) for row in rows]

    def _sender_domains(self) -> dict[int, str]:
        """By campaign; read once."""
        if self._domains is None:
            content: Any = campaigns.c.content
            if not self._database.is_sqlite:
                content = sa.cast(content, postgresql.JSON())
            sender = content.op("->")("message").op("->>")("sender")
            with self._database.read() as connection:
                rows = connection.execute(sa.select(campaigns.c.id, sender)).all()
            self._domains = {one: ascii_domain(mailbox) for one, mailbox in rows if mailbox}
        return self._domains
