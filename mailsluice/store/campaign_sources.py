"""The sources of a campaign whose recipients have several, numbered from 1 in their order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from mailsluice.core.source_counts import SourceCounts
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_sources

_REASONS = {
    "duplicates": "duplicate",
    "excluded": "excluded",
    "suppressed": "suppressed",
    "invalid": "invalid",
    "no_mail_server": "no mail server",
}
"""The reason for which a row is rejected, by the column that counts such rows."""


class CampaignSources:
    """The `campaign_sources` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, campaign_id: int) -> list[SourceCounts]:
        """The campaign's sources in their order; none for a campaign with one source."""
        columns = campaign_sources.c
        query = sa.select(campaign_sources).where(columns.campaign_id == campaign_id)
        with self._database.read() as connection:
            return [
                SourceCounts(
                    row.source,
                    row.rows_before,
                    row.read_rows,
                    row.accepted,
                    {reason: row._mapping[name] for name, reason in _REASONS.items()},  # noqa: SLF001 - SQLAlchemy's public name
                )
                for row in connection.execute(query.order_by(columns.number))
            ]

    def of_recipients(self, campaign_id: int, ids: Collection[int]) -> Mapping[int, str]:
        """The sources of these recipients of a campaign, as far as there are several."""
        recipients = tables_of(self._database, campaign_id).recipients
        columns = campaign_sources.c
        query = sa.select(recipients.c.id, columns.source).join_from(
            recipients,
            campaign_sources,
            sa.and_(
                columns.campaign_id == recipients.c.campaign_id,
                columns.number == recipients.c.source,
            ),
        )
        with self._database.read() as connection:
            rows = connection.execute(query.where(recipients.c.id.in_(ids))).all()
        return {row.id: row.source for row in rows}


def record_sources(
    transaction: sa.Connection, campaign_id: int, sources: Sequence[SourceCounts]
) -> None:
    """Number a campaign's sources in the order given."""
    rows = [
        {
            "campaign_id": campaign_id,
            "number": number,
            "source": source.source,
            "rows_before": source.rows_before,
            "read_rows": source.read_rows,
            "accepted": source.accepted,
            **{name: source.rejected.get(reason, 0) for name, reason in _REASONS.items()},
        }
        for number, source in enumerate(sources, start=1)
    ]
    if rows:
        transaction.execute(sa.insert(campaign_sources), rows)
