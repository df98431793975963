"""The tables of affinity, see `mailsluice.store.affinities`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)

from mailsluice.store.schema import metadata

affinity_groups = Table(
    "affinity_groups",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False),  # counts the changes of the group
    Column("connections", Text, nullable=False),  # JSON: names; a number is a place in the list
    Column("updated_at", Double),
)
"""Groups of campaigns in which an address has the same connection."""

affinities = Table(
    "affinities",
    metadata,
    Column("group_id", ForeignKey("affinity_groups.id", ondelete="CASCADE"), primary_key=True),
    # The first bits of the keys on the page; see mailsluice.store.affinity_pages.
    Column("page", SmallInteger, primary_key=True, autoincrement=False),
    Column("address_keys", LargeBinary, nullable=False),  # 8 bytes an address, sorted
    Column("connections", LargeBinary, nullable=False),  # 2 bytes an address, in the same order
)
"""The connections of addresses, many in a row."""
