"""The results of seed tests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mailsluice.store.schema.metadata import ID

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seed_results",
        sa.Column("id", ID, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("campaign", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("probe", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("placement", sa.Text, nullable=False),
        sa.Column("delay_seconds", sa.Double),
        sa.Column("spf", sa.Text, nullable=False),
        sa.Column("dkim", sa.Text, nullable=False),
        sa.Column("dmarc", sa.Text, nullable=False),
        sa.Column("tls", sa.Text, nullable=False),
    )
    op.create_index("ix_seed_results_at", "seed_results", ["at"])
    op.create_index("ix_seed_results_connection_at", "seed_results", ["connection", "at"])
