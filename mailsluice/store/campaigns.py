"""Campaigns as stored: name, content, status and the numbers of their audience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.core.errors import CampaignDiffersError, OutboxError
from mailsluice.core.moves import Move, shares_after
from mailsluice.core.status import CampaignStatus
from mailsluice.message.identity import new_key
from mailsluice.store.campaign_names import find_by_name, refuse_alike
from mailsluice.store.content import as_json, differences, has_return_paths, sender_domain
from mailsluice.store.database import Database
from mailsluice.store.moves import read_moves
from mailsluice.store.routes import RouteRecord, launched_shares, read_routes
from mailsluice.store.schema import campaigns


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """One row of `campaigns`."""

    id: int
    name: str
    status: CampaignStatus
    owner: str | None
    journal: str | None
    read_rows: int
    accepted: int
    duplicates: int
    suppressed: int
    excluded: int
    invalid: int
    no_mail_server: int
    held_back: Mapping[str, int]
    """Suppressed rows by the reason of their suppression."""
    assignment_digest: str | None
    affinity: AffinityCounts | None
    """None for a campaign without affinity."""
    return_key: str | None = field(repr=False)
    """The secret that makes return paths and Message-IDs, see `mailsluice.message.identity`; None
    for a campaign that is older than they are."""
    sender_domain: str | None
    """In ASCII; the end of the campaign's Message-IDs."""
    finish_at: float | None
    """By when the campaign is to be finished, in seconds since the epoch, if there is such a time.
    """

    @property
    def rejected(self) -> dict[str, int]:
        """Rows that are not in the audience, by reason."""
        return {
            "duplicate": self.duplicates,
            "excluded": self.excluded,
            "suppressed": self.suppressed,
            "invalid": self.invalid,
            "no mail server": self.no_mail_server,
        }


_COLUMNS = [campaigns.c[name] for name in CampaignRecord.__dataclass_fields__]


class Campaigns:
    """The `campaigns` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, name: str, content: Mapping[str, Any]) -> CampaignRecord:
        """Return the campaign of this name, adding it when there is none.

        Raises:
            CampaignDiffersError: The campaign exists with other content.
            CampaignError: The name is not allowed, or people would confuse it with another
                campaign's.
        """
        with self._database.write() as transaction:
            row = find_by_name(transaction, sa.select(*_COLUMNS, campaigns.c.content), name)
            if row is None:
                refuse_alike(transaction, name)
                row = self._insert(transaction, name, content)
        differing = differences(orjson.loads(row.content), orjson.loads(as_json(content)))
        if differing:
            raise CampaignDiffersError(name, differing)
        return _record(row)

    def _insert(
        self, transaction: sa.Connection, name: str, content: Mapping[str, Any]
    ) -> sa.Row[Any]:
        statement = sa.insert(campaigns).values(
            name=name,
            status=CampaignStatus.RESOLVING,
            content=as_json(content),
            created_at=self._database.now,
            return_key=new_key(),
            sender_domain=sender_domain(content),
            has_return_paths=has_return_paths(content),
        )
        return transaction.execute(statement.returning(*_COLUMNS, campaigns.c.content)).one()

    def find(self, name: str) -> CampaignRecord | None:
        """The campaign of this name, or None; `record.name` is spelt as stored.

        Raises CampaignError for a name that no campaign can have.
        """
        with self._database.read() as connection:
            row = find_by_name(connection, sa.select(*_COLUMNS), name)
        return None if row is None else _record(row)

    def get(self, name: str) -> CampaignRecord:
        """The campaign of this name. Raises OutboxError when there is none."""
        record = self.find(name)
        if record is None:
            raise OutboxError(f"there is no campaign {name!r} in this database: check its name")
        return record

    def name(self, campaign_id: int) -> str:
        """The name of the campaign with this id."""
        query = sa.select(campaigns.c.name).where(campaigns.c.id == campaign_id)
        with self._database.read() as connection:
            return str(connection.execute(query).scalar_one())

    def all(self) -> list[CampaignRecord]:
        """Every campaign, the latest first."""
        query = sa.select(*_COLUMNS).order_by(campaigns.c.id.desc())
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def refuse_alike(self, name: str) -> None:
        """Raise CampaignError when a new campaign's name could be taken for a stored one."""
        with self._database.read() as connection:
            refuse_alike(connection, name)

    def set_journal(self, campaign_id: int, journal: str) -> None:
        """Record which journal knows about the claims made from now on."""
        self._update(campaign_id, journal=journal)

    def set_status(self, campaign_id: int, status: CampaignStatus) -> None:
        """Record the campaign's status, with the end time of one that has ended."""
        ended = status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)
        self._update(campaign_id, status=status, ended_at=self._database.now if ended else None)

    def _update(self, campaign_id: int, **values: Any) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                sa.update(campaigns).where(campaigns.c.id == campaign_id).values(**values)
            )

    def routes(self, campaign_id: int) -> list[RouteRecord]:
        """The routes as assigned at the launch, in the campaign's order."""
        with self._database.read() as connection:
            return read_routes(connection, campaign_id)

    def moves(self, campaign_id: int) -> list[Move]:
        """Moves of recipients to another connection, in the order in which they happened."""
        with self._database.read() as connection:
            return read_moves(connection, campaign_id)

    def shares(self, campaign_id: int) -> dict[str, Decimal]:
        """Shares of the campaign's limits: those at the launch, changed by every move since."""
        return shares_after(launched_shares(self.routes(campaign_id)), self.moves(campaign_id))


def _record(row: sa.Row[Any]) -> CampaignRecord:
    values = {name: getattr(row, name) for name in CampaignRecord.__dataclass_fields__}
    values["held_back"] = orjson.loads(row.held_back or "{}")
    values["affinity"] = AffinityCounts(**orjson.loads(row.affinity)) if row.affinity else None
    return CampaignRecord(**{**values, "status": CampaignStatus(row.status)})
