"""Several sources: which of them each recipient is from, and what became of the rows of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# Every INSERT into `recipients` is passed to the shared table, with its new column.
_RULE = """
CREATE OR REPLACE RULE recipients_are_shared AS ON INSERT TO recipients DO INSTEAD
    INSERT INTO recipients_shared (
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider, move_id,
        source)
    VALUES (
        NEW.id, mailsluice_sharing(NEW.campaign_id), NEW.first_attempt_at, NEW.settled_at,
        NEW.next_attempt_at, NEW.claimed_by, NEW.attempts, NEW.code, NEW.status, NEW.connection,
        NEW.email, NEW.variables, NEW.reply, NEW.folded, NEW.reassigned_from, NEW.provider,
        NEW.move_id, NEW.source)
    RETURNING
        id, campaign_id, first_attempt_at, settled_at, next_attempt_at, claimed_by, attempts, code,
        status, connection, email, variables, reply, folded, reassigned_from, provider, move_id,
        source;
"""


def upgrade() -> None:
    bind = op.get_bind()
    op.add_column("recipients", sa.Column("source", sa.SmallInteger))
    op.create_table(
        "campaign_sources",
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("rows_before", sa.BigInteger, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                *("read_rows", "accepted", "duplicates"),
                *("suppressed", "excluded", "invalid", "no_mail_server"),
            )
        ),
    )
    if bind.dialect.name == "postgresql":
        bind.exec_driver_sql(_RULE)
