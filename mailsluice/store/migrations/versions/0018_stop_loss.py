"""Canaries, and parts of a campaign that are held until an operator decides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("recipients", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("judged_at", sa.Double),
        sa.Column("decided_at", sa.Double),
    )
    op.create_table(
        "holds",
        sa.Column("id", _ID, primary_key=True),
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("provider", sa.SmallInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("limit_percent", sa.Double),
        sa.Column("figures", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("target", sa.Text),
        sa.Column("decided_at", sa.Double),
    )
    op.create_index("ix_holds_campaign_id", "holds", ["campaign_id"])
