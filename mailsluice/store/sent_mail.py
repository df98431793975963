"""Finding the recipient that a bounce message is about."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import sqlalchemy as sa

from mailsluice.bounces.matching import SentTo
from mailsluice.core.folding import folded
from mailsluice.core.reply_id import reply_id
from mailsluice.core.status import RecipientStatus
from mailsluice.store.campaign_tables import (
    CampaignTables,
    tables_of,
    tables_of_all,
    tables_with,
)
from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_providers, campaigns

_MAX_ID = 2**63 - 1
_MOST_LOOKED_AT = 1_000
_LONGEST_ID = 200
_MOST_LENGTHS = 10
"""Different lengths of ids that one query looks for; a provider's ids have one or two."""


class SentMessage(NamedTuple):
    """A message that went over a connection."""

    to: SentTo
    at: float
    """When it was settled, in seconds since the epoch; -inf if it is not."""
    reply: str
    """The server's reply, without the code."""
    is_certain: bool
    """Whether the server has accepted the message, as far as the reply says."""


class SentMail:
    """The recipients of all campaigns, looked up by id or address."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_id(self, ids: Collection[int]) -> list[SentTo]:
        """The recipients with these ids; ids without a recipient are skipped."""
        known = [recipient_id for recipient_id in ids if recipient_id <= _MAX_ID]
        if not known:
            return []
        return [
            sent
            for tables in tables_with(self._database, known)
            for sent in self._find(tables, tables.recipients.c.id.in_(known))
        ]

    def by_address(self, emails: Collection[str], domains: Collection[str]) -> list[SentTo]:
        """Recipients with these addresses, of campaigns whose sender has one of these domains.

        The addresses may be in any spelling. Campaigns with return paths are left out: a genuine
        report about their mail contains a token, so a report without one is forged or about another
        message. The query reads all recipients of the campaigns, because addresses have no index:
        every launch would have to pay for it.
        """
        if not emails or not domains:
            return []
        is_of = sa.and_(
            campaigns.c.sender_domain.in_(domains), sa.not_(campaigns.c.has_return_paths)
        )
        named = {folded(email) for email in emails}
        return [
            sent
            for tables, mine in tables_of_all(self._database, is_of)
            for sent in self._find(tables, sa.and_(mine, tables.compared.in_(named)))
        ]

    def by_reply_id(self, campaign_id: int, text: str) -> list[SentTo]:
        """The recipients of a campaign whose accepted message has this id in its reply.

        The query reads the whole campaign, because replies have no index: every message would have
        to pay for it (`mailsluice.core.reply_id`). Only a thousand replies with this text are
        looked at; ids are rarer than that.
        """
        recipients = tables_of(self._database, campaign_id).recipients
        query = (
            sa.select(recipients.c.id, recipients.c.reply)
            .where(
                recipients.c.campaign_id == campaign_id,
                recipients.c.status == RecipientStatus.SENT.value,
                recipients.c.reply.contains(text, autoescape=True),
            )
            .limit(_MOST_LOOKED_AT)
        )
        with self._database.read() as connection:
            ids = [row.id for row in connection.execute(query) if reply_id(row.reply) == text]
        return self.by_id(ids) if ids else []

    def over(
        self, connection: str, emails: Collection[str], since: float, until: float
    ) -> list[SentMessage]:
        """Messages to these addresses that went over a connection in this time.

        Messages whose outcome is not recorded are among them, with `at` -inf: a provider may report
        a message before its reply is committed, and an operator may have a lost one sent again. The
        addresses may be in any spelling, the times are seconds since the epoch. The query reads
        all recipients that the campaigns of this time have on the connection, because addresses
        have no index.
        """
        if not emails:
            return []
        named = {folded(email) for email in emails}
        return self._over(connection, since, until, lambda tables: tables.compared.in_(named))

    def with_reply_ids(
        self, connection: str, ids: Collection[str], since: float, until: float
    ) -> dict[str, list[SentMessage]]:
        """Messages that went over a connection in this time, by the id in the server's reply.

        Only ids at the end of the reply are found, where providers write them. The query reads as
        many recipients as that of `over`.
        """
        by_length: dict[int, set[str]] = defaultdict(set)
        for text in ids:
            if text and len(text) <= _LONGEST_ID:
                by_length[len(text)].add(text)
        usual = Counter({length: len(named) for length, named in by_length.items()})
        lengths = [length for length, _ in usual.most_common(_MOST_LENGTHS)]
        if not lengths:
            return {}

        def ends_with_one(tables: CampaignTables) -> sa.ColumnElement[bool]:
            reply = sa.func.rtrim(tables.recipients.c.reply, "> .:")
            return sa.or_(*(self._end(reply, length).in_(by_length[length]) for length in lengths))

        found: dict[str, list[SentMessage]] = defaultdict(list)
        for message in self._over(connection, since, until, ends_with_one):
            if name := reply_id(message.reply):
                found[name].append(message)
        return found

    def _end(self, text: sa.ColumnElement[str], length: int) -> sa.ColumnElement[str]:
        if self._database.is_sqlite:
            return sa.func.substr(text, -length)
        return sa.func.right(text, length)

    def _over(
        self,
        connection: str,
        since: float,
        until: float,
        condition: Callable[[CampaignTables], sa.ColumnElement[bool]],
    ) -> list[SentMessage]:
        is_of = sa.and_(
            campaigns.c.created_at <= until, sa.func.coalesce(campaigns.c.ended_at, until) >= since
        )
        return [
            sent
            for tables, mine in tables_of_all(self._database, is_of)
            for sent in self._find_messages(
                tables,
                sa.and_(
                    mine,
                    tables.recipients.c.connection == connection,
                    sa.or_(
                        tables.recipients.c.settled_at.between(since, until),
                        tables.recipients.c.settled_at.is_(None),
                    ),
                    condition(tables),
                ),
            )
        ]

    def _find(self, tables: CampaignTables, condition: sa.ColumnElement[bool]) -> list[SentTo]:
        return [sent.to for sent in self._find_messages(tables, condition)]

    def _find_messages(
        self, tables: CampaignTables, condition: sa.ColumnElement[bool]
    ) -> list[SentMessage]:
        recipients = tables.recipients
        is_sent = recipients.c.status == RecipientStatus.SENT.value
        query: sa.Select[Any] = (
            sa.select(
                recipients.c.id.label("recipient_id"),
                recipients.c.email,
                recipients.c.connection,
                recipients.c.campaign_id,
                campaigns.c.name.label("campaign"),
                campaigns.c.return_key,
                sa.func.coalesce(campaigns.c.sender_domain, "").label("sender_domain"),
                sa.case((is_sent, recipients.c.settled_at)).label("sent_at"),
                campaign_providers.c.provider,
                recipients.c.settled_at,
                sa.func.coalesce(recipients.c.reply, "").label("reply"),
                is_sent,
            )
            .join_from(recipients, campaigns, campaigns.c.id == recipients.c.campaign_id)
            .outerjoin(
                campaign_providers,
                sa.and_(
                    campaign_providers.c.campaign_id == recipients.c.campaign_id,
                    campaign_providers.c.number == recipients.c.provider,
                ),
            )
            .where(condition)
        )
        with self._database.read() as connection:
            rows = connection.execute(query)
            return [
                SentMessage(
                    SentTo(*known), -math.inf if at is None else at, reply, bool(is_certain)
                )
                for *known, at, reply, is_certain in rows
            ]
