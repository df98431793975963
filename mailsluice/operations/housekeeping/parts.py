"""What an archive is made of: tables, their columns as Parquet has them, whose rows are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from mailsluice.store.schema import (
    alerts,
    attempts,
    bounces,
    campaigns,
    moves,
    recipients,
    rejects,
    routes,
    senders,
    warm_up_plans,
)

_SECRETS = {"return_key"}  # stays in the campaign's row, which stays
_UNIQUE = ("id", "row")
_TYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pa.DataType], ...] = (
    (sa.SmallInteger, pa.int16()),  # before Integer, which it is as well
    (sa.Integer, pa.int64()),
    (sa.Boolean, pa.bool_()),
    (sa.Float, pa.float64()),
    (sa.Date, pa.date32()),
    (sa.Text, pa.string()),
)


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """The rows of a campaign in one table: a file of the archive."""

    table: sa.Table
    key: str
    """Its rows are in the order of this column."""
    is_deleted: bool = False
    """Whether its rows grow with the recipients, and so are kept in the files alone."""

    @property
    def name(self) -> str:
        """The table's."""
        return str(self.table.name)

    @property
    def is_paged(self) -> bool:
        """Whether there may be many of them; else they are a few a campaign."""
        return self.key in _UNIQUE

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.parquet"

    @property
    def columns(self) -> list[sa.Column[Any]]:
        """All of the table's, but for secrets."""
        return [one for one in self.table.columns if one.name not in _SECRETS]

    @property
    def schema(self) -> pa.Schema:
        """The columns as Parquet has them; times stay seconds since the epoch, exactly."""
        return pa.schema([(one.name, _type(one)) for one in self.columns])

    def of(self, campaign_id: int) -> sa.ColumnElement[bool]:
        """The condition for a campaign's rows."""
        if self.table is attempts:
            mine = sa.select(recipients.c.id).where(recipients.c.campaign_id == campaign_id)
            return attempts.c.recipient_id.in_(mine)
        column = self.table.c.id if self.table is campaigns else self.table.c.campaign_id
        return column == campaign_id


RECIPIENTS = ArchivePart(recipients, "id", is_deleted=True)
ATTEMPTS = ArchivePart(attempts, "id", is_deleted=True)
REJECTS = ArchivePart(rejects, "row", is_deleted=True)
PARTS = (
    RECIPIENTS,
    ATTEMPTS,
    REJECTS,
    ArchivePart(campaigns, "id"),
    ArchivePart(routes, "position"),
    ArchivePart(moves, "id"),
    ArchivePart(senders, "id"),
    ArchivePart(warm_up_plans, "day"),
    ArchivePart(bounces, "id"),
    ArchivePart(alerts, "at"),
)


def _type(column: sa.Column[Any]) -> pa.DataType:
    return next(arrow for kind, arrow in _TYPES if isinstance(column.type, kind))
