"""The numbers of each campaign as counted last, for the list of campaigns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    campaign = sa.ForeignKey("campaigns.id", ondelete="CASCADE")
    op.create_table(
        "campaign_summaries",
        sa.Column("campaign_id", sa.BigInteger, campaign, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("counted_changes", sa.BigInteger),
        sa.Column("accepted", sa.BigInteger),
        sa.Column("per_second", sa.Double),
        sa.Column("expected_end", sa.Double),
        sa.Column("later_changes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("counted_later_changes", sa.BigInteger),
        sa.Column("delivered", sa.BigInteger),
        sa.Column("bounced", sa.BigInteger),
        sa.Column("complained", sa.BigInteger),
        sa.Column("run_id", sa.Text),
        sa.Column("reported_at", sa.Double),
    )
    op.execute("INSERT INTO campaign_summaries (campaign_id) SELECT id FROM campaigns")
