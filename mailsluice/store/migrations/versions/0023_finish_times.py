"""Campaigns keep the time by which they are to be finished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("spread_since", sa.Double))
    op.add_column("campaigns", sa.Column("finish_at", sa.Double))
