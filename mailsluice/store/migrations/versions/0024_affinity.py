"""Affinity: which connection each address has, over the campaigns of a group."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    numbered = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "affinity_groups",
        sa.Column("id", numbered, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("connections", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Double),
    )
    op.create_table(
        "affinities",
        sa.Column(
            "group_id",
            sa.BigInteger,
            sa.ForeignKey("affinity_groups.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("page", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("address_keys", sa.LargeBinary, nullable=False),
        sa.Column("connections", sa.LargeBinary, nullable=False),
    )
    op.add_column("campaigns", sa.Column("affinity", sa.Text))
    if op.get_bind().dialect.name == "postgresql":  # keys are random: nothing to compress
        op.execute("ALTER TABLE affinities ALTER COLUMN address_keys SET STORAGE EXTERNAL")
