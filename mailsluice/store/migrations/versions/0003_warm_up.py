"""Warm-up: the plan for a connection on a day, and the outcome."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "warm_up_plans",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("planned", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_warm_up_plans_day", "warm_up_plans", ["connection", "day"])
    op.create_table(
        "warm_up_days",
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("cap", sa.BigInteger),
        sa.Column("held_back_days", sa.Integer, nullable=False),
        sa.Column("attempted", sa.BigInteger),
        sa.Column("troubled", sa.BigInteger),
    )
