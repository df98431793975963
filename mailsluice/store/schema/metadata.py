"""The metadata and the type of ids that all tables share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

REVISION = "0029"
"""The last of `mailsluice.store.migrations`: what a database with these tables has."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = BigInteger().with_variant(Integer(), "sqlite")
"""The type of row ids: SQLite assigns them by itself to a column of exactly this type."""
