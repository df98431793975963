"""The campaigns and recipients that logged facts are about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from mailsluice.core.status import CampaignStatus
from mailsluice.store.campaign_tables import tables_with
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.providers import Providers
from mailsluice.store.schema import archives, campaigns, message_log_campaigns

_MOST_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class LoggedCampaign:
    """A campaign, as far as a log names it."""

    id: int
    name: str
    created_at: float
    ended_at: float | None
    return_key: str | None = field(repr=False)
    sender_domain: str
    is_archived: bool = False
    providers: dict[int, str] = field(default_factory=dict)
    """Mailbox providers by number."""


class LoggedRecipient(NamedTuple):
    """The recipient of a fact."""

    id: int
    campaign_id: int
    email: str
    compared: str
    """The address as compared (`folded`)."""
    provider: int
    """The number of the mailbox provider; 0: unknown."""


_COLUMNS = (
    campaigns.c.id,
    campaigns.c.name,
    campaigns.c.created_at,
    campaigns.c.ended_at,
    campaigns.c.return_key,
    sa.func.coalesce(campaigns.c.sender_domain, ""),
)


class LoggedCampaigns:
    """Campaigns by id, kept in memory, and recipients by id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, LoggedCampaign] = {}

    def get(self, campaign_id: int) -> LoggedCampaign | None:
        """The campaign with this id; None if there is none."""
        if campaign_id not in self._known:
            query = sa.select(*_COLUMNS).where(campaigns.c.id == campaign_id)
            with self._database.read() as connection:
                row = connection.execute(query).one_or_none()
            if row is None:
                return None
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            providers = Providers(self._database).of(campaign_id)
            self._known[campaign_id] = LoggedCampaign(*row, providers=providers)
        return self._known[campaign_id]

    def open(self, log: str, since: float) -> list[LoggedCampaign]:
        """The launched campaigns that may have outcomes that are not in this log yet."""
        kept, its = message_log_campaigns.c, campaigns.c
        query = (
            sa.select(*_COLUMNS, archives.c.campaign_id.is_not(None))
            .outerjoin_from(
                campaigns,
                message_log_campaigns,
                sa.and_(kept.log == log, kept.campaign_id == its.id),
            )
            .outerjoin(archives, archives.c.campaign_id == its.id)
            .where(
                its.status != CampaignStatus.RESOLVING.value,
                sa.or_(
                    kept.is_closed == sa.false(),
                    sa.and_(
                        kept.campaign_id.is_(None),
                        sa.or_(its.ended_at.is_(None), its.ended_at >= since),
                    ),
                ),
            )
            .order_by(its.id)
        )
        with self._database.read() as connection:
            return [LoggedCampaign(*row) for row in connection.execute(query)]

    def recipients(self, ids: Collection[int]) -> dict[int, LoggedRecipient]:
        """The recipients with these ids, as far as the database has them."""
        found: dict[int, LoggedRecipient] = {}
        given = as_parameter((recipient_id,) for recipient_id in ids)
        for tables in tables_with(self._database, ids) if ids else ():
            recipients = tables.recipients
            query: sa.Select[Any] = sa.select(
                recipients.c.id,
                recipients.c.campaign_id,
                recipients.c.email,
                tables.compared,
                sa.func.coalesce(recipients.c.provider, 0),
            ).where(
                recipients.c.id.in_(
                    sa.select(rows_in(self._database, {"id": sa.BigInteger()}).c.id)
                )
            )
            with self._database.read() as connection:
                rows = connection.execute(query, given)
                found.update((row[0], LoggedRecipient(*row)) for row in rows)
        return found
