"""Housekeeping: the folders of archives; an index and pages that allow HOT updates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("cleared_at", sa.Double),
    )
    is_due = sa.text("next_attempt_at IS NOT NULL")
    op.drop_index("ix_recipients_due", "recipients")
    op.create_index(
        "ix_recipients_due",
        "recipients",
        ["campaign_id", "connection", "next_attempt_at"],
        sqlite_where=is_due,
        postgresql_where=is_due,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE recipients SET (fillfactor = 50)")
