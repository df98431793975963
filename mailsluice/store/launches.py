"""The launch of a campaign: its recipients and routes, stored before the first message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.core.moves import Move
from mailsluice.core.source_counts import SourceCounts
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.store import bulk, campaign_tables
from mailsluice.store.campaign_sources import record_sources
from mailsluice.store.campaign_tables import has_room, shared_tables, tables_of
from mailsluice.store.canaries import record_canaries
from mailsluice.store.content import as_json
from mailsluice.store.database import Database
from mailsluice.store.moves import record_moves
from mailsluice.store.providers import record_providers
from mailsluice.store.routes import RouteRecord, record_routes
from mailsluice.store.schema import (
    campaign_providers,
    campaign_sources,
    campaign_zones,
    campaigns,
    moves,
    rejects,
    routes,
)
from mailsluice.store.zones import record_zones

if TYPE_CHECKING:
    import pandas as pd


class Launches:
    """Stores a campaign's audience with its assignment, and then makes the campaign `ready`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store_audience(
        self,
        campaign_id: int,
        chunks: Iterable[pd.DataFrame],
        rejected: Iterable[pd.DataFrame],
    ) -> None:
        """Write recipients and rejects, replacing whatever an interrupted launch left.

        The recipients of a large campaign are one transaction on PostgreSQL, into tables of its
        own. Elsewhere each chunk is a transaction, so other campaigns can write in between. No
        message is sent before `finish`.

        Args:
            campaign_id: The campaign's row.
            chunks: Recipients in send order: columns email, connection, variables, provider if it
                is known, and source if there are several; also status, next_attempt_at and
                reassigned_from when some recipients are not pending on the connection they were
                assigned.
            rejected: Columns row, email, reason, detail.

        Raises:
            OutboxError: The campaign is launched already.
        """
        self._clear(campaign_id)
        constants: dict[str, int | str] = {"campaign_id": campaign_id}
        self._store_accepted(campaign_id, iter(chunks), constants)
        bulk.load(self._database, rejects, ((chunk, constants) for chunk in rejected))

    def _store_accepted(
        self, campaign_id: int, chunks: Iterator[pd.DataFrame], constants: Mapping[str, int | str]
    ) -> None:
        pending = {**constants, "status": RecipientStatus.PENDING.value}
        beginning, is_large = self._beginning(chunks)
        accepted = (
            (_with_folded(chunk, always=is_large), constants if "status" in chunk else pending)
            for chunk in chain(beginning, chunks)
        )
        if is_large:
            bulk.load_own_tables(self._database, campaign_id, accepted)
        else:
            bulk.load(self._database, shared_tables(self._database).recipients, accepted)

    def _beginning(self, chunks: Iterator[pd.DataFrame]) -> tuple[list[pd.DataFrame], bool]:
        """Take the first chunks, until they show whether the campaign gets tables of its own."""
        beginning: list[pd.DataFrame] = []
        if self._database.is_sqlite or not has_room(self._database):
            return beginning, False
        rows = 0
        for chunk in chunks:
            beginning.append(chunk)
            rows += len(chunk)
            if rows >= campaign_tables.FROM_RECIPIENTS:
                return beginning, True
        return beginning, False

    def _clear(self, campaign_id: int) -> None:
        shared = shared_tables(self._database).recipients
        with self._database.write() as transaction:
            _refuse_launched(transaction, campaign_id)
            for table in (
                shared,
                rejects,
                routes,
                moves,
                campaign_providers,
                campaign_sources,
                campaign_zones,
            ):
                transaction.execute(sa.delete(table).where(table.c.campaign_id == campaign_id))
            if not self._database.is_sqlite:
                transaction.execute(sa.select(sa.func.mailsluice_drop_tables(campaign_id)))

    def finish(
        self,
        campaign_id: int,
        *,
        read_rows: int,
        accepted: int,
        rejected: Mapping[str, int],
        assigned: Sequence[RouteRecord],
        digest: str,
        held_back: Mapping[str, int] | None = None,
        moved: Sequence[Move] = (),
        providers: Mapping[str, int] | None = None,
        canaries: Mapping[str, int] | None = None,
        sources: Sequence[SourceCounts] = (),
        zones: Mapping[str, int] | None = None,
    ) -> None:
        """Make the campaign `ready`: its audience is stored completely.

        Args:
            campaign_id: The campaign's row.
            read_rows: Rows of the source.
            accepted: Recipients stored.
            rejected: Rows by reason: duplicate, suppressed, excluded, invalid, no mail server.
            assigned: Each connection's recipients before warm-ups moved any.
            digest: Of the assignment.
            held_back: Suppressed rows by the reason of their suppression.
            moved: Recipients that warm-ups moved to another connection.
            providers: Recipients of each mailbox provider, in the order of their numbers.
            canaries: How many of each connection's first recipients are its canary.
            sources: The rows of each source, if there are several.
            zones: Recipients of each time zone, in send order, where the window is by zone.

        Raises:
            OutboxError: The numbers do not add up.
        """
        _refuse_gaps("all sources", read_rows, accepted, rejected)
        for source in sources:
            _refuse_gaps(source.source, source.read_rows, source.accepted, source.rejected)
        reasons = Counter(rejected)
        recipients = tables_of(self._database, campaign_id).recipients
        with self._database.write() as transaction:
            _refuse_missing(transaction, recipients, campaign_id, accepted)
            record_routes(transaction, campaign_id, assigned)
            record_moves(self._database, transaction, campaign_id, moved)
            record_providers(transaction, campaign_id, providers or {})
            record_canaries(transaction, recipients, campaign_id, canaries or {})
            record_sources(transaction, campaign_id, sources)
            record_zones(transaction, recipients, campaign_id, zones or {})
            transaction.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id)
                .values(
                    status=CampaignStatus.READY,
                    read_rows=read_rows,
                    accepted=accepted,
                    duplicates=reasons["duplicate"],
                    suppressed=reasons["suppressed"],
                    excluded=reasons["excluded"],
                    invalid=reasons["invalid"],
                    no_mail_server=reasons["no mail server"],
                    held_back=as_json(held_back or {}),
                    assignment_digest=digest,
                )
            )


def _refuse_gaps(of: str, read_rows: int, accepted: int, rejected: Mapping[str, int]) -> None:
    if read_rows != accepted + sum(rejected.values()):
        raise OutboxError(
            f"{read_rows} rows of {of} were read, but {accepted} accepted and {dict(rejected)}"
            " rejected: rows are missing, so nothing is sent. Please report this"
        )


def _refuse_launched(transaction: sa.Connection, campaign_id: int) -> None:
    """Refuse to replace an audience that may have been sent to.

    A process that was stopped for longer than its lease may want to launch a campaign that another
    run has launched meanwhile.
    """
    query = sa.select(campaigns.c.status).where(campaigns.c.id == campaign_id).with_for_update()
    if transaction.execute(query).scalar_one() != CampaignStatus.RESOLVING:
        raise OutboxError(
            "another run has launched this campaign meanwhile, so this run changes nothing. Retry"
            " this run to continue the campaign"
        )


def _refuse_missing(
    transaction: sa.Connection, recipients: sa.Table, campaign_id: int, accepted: int
) -> None:
    count = sa.select(sa.func.count()).where(recipients.c.campaign_id == campaign_id)
    stored = transaction.execute(count).scalar_one()
    if stored != accepted:
        raise OutboxError(
            f"{accepted} recipients were accepted, but {stored} are stored, so nothing is sent."
            " Please report this"
        )


def _with_folded(rows: pd.DataFrame, *, always: bool) -> pd.DataFrame:
    """The rows, with the column `folded` for addresses that are not compared as written.

    Most audiences are in lower case and need no such column; they get it where all chunks must have
    the same columns (`always`).
    """
    import pyarrow as pa  # a process that only sends loads none of it
    import pyarrow.compute as pc

    from mailsluice.core.folded_column import fold

    emails = pa.array(rows["email"], pa.large_string())
    as_compared = fold(emails)
    differs = pc.not_equal(as_compared, emails)
    if not always and not pc.any(differs).as_py():
        return rows
    return rows.assign(folded=pc.if_else(differs, as_compared, None).to_pandas().to_numpy(object))
