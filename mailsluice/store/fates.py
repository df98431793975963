"""Reading the recipients and rejects of a campaign of any size, a chunk of rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.store.campaign_tables import CampaignTables, tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import campaign_providers, campaign_sources, deliveries, moves, rejects

CHUNK_ROWS = 20_000

FATE_COLUMNS = (
    "id",
    "email",
    "connection",
    "reassigned_from",
    "status",
    "attempts",
    "code",
    "reply",
    "settled_at",
    "next_attempt_at",
)
"""Columns of `recipients`."""
REJECT_COLUMNS = ("row", "email", "reason", "detail")

Fate = sa.Row[Any]
"""The FATE_COLUMNS of one recipient, then `mailbox_provider`, `source_label`, `moved_from`,
`moved_at` and `move_reason`.

The mailbox provider is the one stored at the launch, or else the one that events name; null when it
is not known. The source is null in a campaign with one source. The last three are about the last
move; null for a recipient that never moved, or that a warm-up moved at the launch."""
Reject = sa.Row[Any]
"""The REJECT_COLUMNS of one row of the source that is not in the audience."""


class Fates:
    """The recipients and rejects of one campaign, in order.

    Each chunk is a statement of its own. While a run is sending, each row shows its state at the
    time its chunk is read; no row is read twice or left out.
    """

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id

    def recipients(
        self, statuses: Collection[RecipientStatus] = (), chunk_rows: int = CHUNK_ROWS
    ) -> Iterator[Sequence[Fate]]:
        """Read the recipients in these states, or in all when none is named, by id.

        A chunk has 1 to `chunk_rows` rows.
        """
        recipients = self._tables().recipients
        ids, hosts = recipients.c.id, campaign_providers.c
        sources = campaign_sources.c
        host = sa.func.coalesce(hosts.provider, sa.func.nullif(deliveries.c.mailbox_provider, ""))
        query: sa.Select[Any] = (
            sa.select(
                *(recipients.c[name] for name in FATE_COLUMNS),
                host.label("mailbox_provider"),
                sources.source.label("source_label"),
                moves.c.origin.label("moved_from"),
                moves.c.at.label("moved_at"),
                moves.c.reason.label("move_reason"),
            )
            .outerjoin_from(
                recipients,
                campaign_providers,
                sa.and_(
                    hosts.campaign_id == self._campaign_id, hosts.number == recipients.c.provider
                ),
            )
            .outerjoin(
                campaign_sources,
                sa.and_(
                    sources.campaign_id == self._campaign_id, sources.number == recipients.c.source
                ),
            )
            .outerjoin(deliveries, deliveries.c.recipient_id == ids)
            .outerjoin(moves, moves.c.id == recipients.c.move_id)
            .where(
                # Adding 0 keeps query planners from using the index on the campaign and then
                # sorting the whole campaign for every chunk; a window of ids is a range of the
                # primary key.
                recipients.c.campaign_id + 0 == self._campaign_id,
                ids > sa.bindparam("after"),
                ids <= sa.bindparam("last"),
            )
        )
        if statuses:
            query = query.where(recipients.c.status.in_([status.value for status in statuses]))
        for after, last in self.windows(chunk_rows):
            rows = self._read(query.order_by(ids), after=after, last=last)
            if rows:
                yield rows

    def windows(self, chunk_rows: int = CHUNK_ROWS) -> Iterator[tuple[int, int]]:
        """Ranges of ids that hold all recipients: (excluded lower bound, included upper bound)."""
        first, last = self.bounds()
        return ((after, after + chunk_rows) for after in range(first - 1, last, chunk_rows))

    def rejects(self, chunk_rows: int = CHUNK_ROWS) -> Iterator[Sequence[Reject]]:
        """Read the rows that are not in the audience, by row number through all sources."""
        query: sa.Select[Any] = (
            sa.select(*(rejects.c[name] for name in REJECT_COLUMNS))
            .where(
                rejects.c.campaign_id == self._campaign_id,
                rejects.c.row > sa.bindparam("after"),
            )
            .order_by(rejects.c.row)
            .limit(chunk_rows)
        )
        after = 0
        while rows := self._read(query, after=after):
            yield rows
            after = rows[-1].row

    def _tables(self) -> CampaignTables:
        return tables_of(self._database, self._campaign_id)

    def _read(self, query: sa.Select[Any], **bounds: int) -> Sequence[sa.Row[Any]]:
        with self._database.read() as connection:
            return connection.execute(query, bounds).all()

    def bounds(self) -> tuple[int, int]:
        """The lowest and highest id; (1, 0) for a campaign without recipients."""
        tables = self._tables()
        recipients = tables.recipients
        # Without + 0, PostgreSQL walks the shared primary key up to the campaign's first row.
        ids = recipients.c.id if tables.is_own else recipients.c.id + 0
        query = sa.select(sa.func.min(ids), sa.func.max(ids)).where(
            recipients.c.campaign_id == self._campaign_id
        )
        with self._database.read() as connection:
            first, last = connection.execute(query).one()
        return first or 1, last or 0
