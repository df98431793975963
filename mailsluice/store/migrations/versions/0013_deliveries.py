"""Deliveries: what became of accepted messages, by the events of providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TIMES = ("deferred", "delivered", "dropped", "bounced", "unsubscribed", "complained")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("recipient_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failure", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("mailbox_provider", sa.Text, nullable=False),
        *(sa.Column(f"{name}_at", sa.Double) for name in _TIMES),
    )
    op.create_index(
        "ix_deliveries_campaign_id_connection", "deliveries", ["campaign_id", "connection"]
    )
    op.create_table(
        "events",
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("matched_by", sa.Text, nullable=False),
        sa.Column("recipient_id", sa.BigInteger),
    )
    op.create_index("ix_events_received_at", "events", ["received_at"])
