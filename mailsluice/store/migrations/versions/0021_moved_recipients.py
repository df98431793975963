"""When recipients moved to another connection, and by which move each of them did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# Every INSERT into `recipients` is passed to the shared table, with its new column.
_RULE = """
CREATE OR REPLACE RULE recipients_are_shared AS ON INSERT TO recipients DO INSTEAD
    INSERT INTO recipients_shared (
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider, move_id)
    VALUES (
        NEW.id, mailsluice_sharing(NEW.campaign_id), NEW.first_attempt_at, NEW.settled_at,
        NEW.next_attempt_at, NEW.claimed_by, NEW.attempts, NEW.code, NEW.status, NEW.connection,
        NEW.email, NEW.variables, NEW.reply, NEW.folded, NEW.reassigned_from, NEW.provider,
        NEW.move_id)
    RETURNING
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider, move_id;
"""


def upgrade() -> None:
    op.add_column("moves", sa.Column("at", sa.Double))
    op.add_column("recipients", sa.Column("move_id", sa.BigInteger))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_RULE)
