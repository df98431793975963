"""Bounces, permanent refusals and complaints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("held_back", sa.Text))
    op.create_table(
        "bounces",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("email", sa.Text, nullable=False, index=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("connection", sa.Text),
        sa.Column("campaign_id", sa.BigInteger, sa.ForeignKey("campaigns.id", ondelete="SET NULL")),
        sa.Column("recipient_id", sa.BigInteger),
        sa.Column("counts", sa.Boolean, nullable=False, server_default=sa.true()),
    )
    op.create_index("ix_bounces_campaign_id_connection", "bounces", ["campaign_id", "connection"])
    op.create_table(
        "alerts",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("threshold", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
