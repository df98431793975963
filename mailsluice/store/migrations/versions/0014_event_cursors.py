"""Event cursors: how far the events of connections have been fetched from their providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "event_cursors",
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("settled_at", sa.Double),
        sa.Column("since", sa.Double),
        sa.Column("until", sa.Double),
        sa.Column("page", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
