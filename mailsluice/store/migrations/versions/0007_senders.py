"""Senders: processes that share the recipients of one connection of a campaign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("recipients", sa.Column("claimed_by", sa.BigInteger))
    op.create_table(
        "senders",
        sa.Column("id", _ID, primary_key=True),
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("is_idle", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("standing", sa.Text),
        sa.Column("ended_at", sa.Double),
        sa.Column("ending", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("next_at", sa.Double),
    )
    op.create_index("ix_senders_campaign_id", "senders", ["campaign_id", "connection"])
