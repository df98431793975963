"""Warm-up plans and days of single mailbox providers; rows without one are about all mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KEYS = {
    "warm_up_plans": ["campaign_id", "connection", "provider", "day"],
    "warm_up_days": ["connection", "provider", "day"],
}


def upgrade() -> None:
    for table, key in _KEYS.items():
        with op.batch_alter_table(table) as batch:  # SQLite copies the table
            batch.add_column(sa.Column("provider", sa.Text, nullable=False, server_default=""))
            batch.drop_constraint(f"pk_{table}", type_="primary")
            batch.create_primary_key(f"pk_{table}", key)
