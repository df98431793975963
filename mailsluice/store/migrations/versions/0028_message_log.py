"""Message logs: how far they have been written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_logs",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("address_key", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("cursors", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "message_log_campaigns",
        *_campaign_of_a_log(),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("is_closed", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "message_log_spans",
        *_campaign_of_a_log(),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("logged", sa.LargeBinary, nullable=False),
    )


def _campaign_of_a_log() -> tuple[sa.Column[str], sa.Column[int]]:
    log = sa.ForeignKey("message_logs.name", ondelete="CASCADE")
    campaign = sa.ForeignKey("campaigns.id", ondelete="CASCADE")
    return (
        sa.Column("log", sa.Text, log, primary_key=True),
        sa.Column("campaign_id", sa.BigInteger, campaign, primary_key=True),
    )
