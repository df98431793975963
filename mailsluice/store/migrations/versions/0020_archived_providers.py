"""Archives keep what became of the mail to each mailbox provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("archives", sa.Column("providers", sa.Text))
