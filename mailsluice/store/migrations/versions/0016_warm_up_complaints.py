"""The complaints about the mail of a warm-up's day, which hold its cap back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("warm_up_days", sa.Column("complained", sa.BigInteger))
