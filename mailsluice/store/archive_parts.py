"""The parts of a campaign's archive: one file for each table that has rows of the campaign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from mailsluice.store.schema import (
    alerts,
    attempts,
    bounces,
    campaign_providers,
    campaign_sources,
    campaign_zones,
    campaigns,
    canaries,
    deliveries,
    holds,
    moves,
    recipients,
    rejects,
    routes,
    senders,
    warm_up_plans,
)

_SECRETS = {"return_key"}  # kept in the campaign's row, which is not deleted
_UNIQUE = ("id", "row", "recipient_id")
_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType], ...] = (
    (sa.SmallInteger, pa.int16()),  # before Integer, its base class
    (sa.Integer, pa.int64()),
    (sa.Boolean, pa.bool_()),
    (sa.Float, pa.float64()),
    (sa.Date, pa.date32()),
    (sa.Text, pa.string()),
)


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """A table's rows of one campaign, which are one file of the archive."""

    table: sa.Table
    key: str
    """The column that orders the rows."""
    is_deleted: bool = False
    """Whether the rows are deleted from the database once they are archived: those of tables that
    grow with the number of recipients."""

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.name)

    @property
    def is_paged(self) -> bool:
        """Whether a campaign may have many rows here, so that they are read in pages."""
        return self.key in _UNIQUE

    @property
    def file(self) -> str:
        """The name of the file in the archive's folder."""
        return f"{self.name}.parquet"

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """All columns of the table except secrets."""
        return [column for column in self.table.columns if column.name not in _SECRETS]

    @property
    def schema(self) -> pa.Schema:
        """The columns in Parquet; times stay seconds since the epoch."""
        return pa.schema([(column.name, _type(column)) for column in self.columns])


RECIPIENTS = ArchivePart(recipients, "id", is_deleted=True)
ATTEMPTS = ArchivePart(attempts, "id", is_deleted=True)
REJECTS = ArchivePart(rejects, "row", is_deleted=True)
DELIVERIES = ArchivePart(deliveries, "recipient_id", is_deleted=True)
PARTS = (
    RECIPIENTS,
    ATTEMPTS,
    REJECTS,
    DELIVERIES,
    ArchivePart(campaigns, "id"),
    ArchivePart(routes, "position"),
    ArchivePart(campaign_providers, "number"),
    ArchivePart(campaign_sources, "number"),
    ArchivePart(campaign_zones, "number"),
    ArchivePart(moves, "id"),
    ArchivePart(senders, "id"),
    ArchivePart(warm_up_plans, "day"),
    ArchivePart(bounces, "id"),
    ArchivePart(alerts, "at"),
    ArchivePart(canaries, "last_id"),
    ArchivePart(holds, "id"),
)


def _type(column: sa.Column[Any]) -> pa.DataType:
    return next(arrow for kind, arrow in _TYPES if isinstance(column.type, kind))
