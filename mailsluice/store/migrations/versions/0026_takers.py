"""Moves between connections, as senders in other processes have to know them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("takers", sa.Text))
    op.add_column("moves", sa.Column("first_recipient_id", sa.BigInteger))
