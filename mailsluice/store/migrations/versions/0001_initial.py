"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("read_rows", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("accepted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("duplicates", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("suppressed", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("excluded", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("invalid", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("assignment_digest", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.Double),
        sa.Column("journal", sa.Text),
    )
    op.create_table(
        "routes",
        _campaign_id(primary_key=True),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.Column("percent", sa.Text),
        sa.Column("assigned", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recipients",
        sa.Column("id", _ID, primary_key=True),
        _campaign_id(nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("reassigned_from", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("variables", sa.Text, nullable=False),
        sa.Column("attempts", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("first_attempt_at", sa.Double),
        sa.Column("next_attempt_at", sa.Double),
        sa.Column("settled_at", sa.Double),
        sa.Column("code", sa.SmallInteger),
        sa.Column("reply", sa.Text),
    )
    op.create_index("ix_recipients_claim", "recipients", ["campaign_id", "connection", "id"])
    deferred = sa.text("status = 'deferred'")
    op.create_index(
        "ix_recipients_due",
        "recipients",
        ["campaign_id", "connection", "next_attempt_at"],
        sqlite_where=deferred,
        postgresql_where=deferred,
    )
    op.create_table(
        "rejects",
        _campaign_id(primary_key=True),
        sa.Column("row", sa.BigInteger, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column(
            "recipient_id",
            sa.BigInteger,
            sa.ForeignKey("recipients.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("code", sa.SmallInteger),
        sa.Column("reply", sa.Text, nullable=False),
    )
    op.create_index("ix_attempts_recipient_id", "attempts", ["recipient_id"])
    op.create_table(
        "suppressions",
        sa.Column("email", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )


def _campaign_id(**options: Any) -> sa.Column[int]:
    return sa.Column(
        "campaign_id", sa.BigInteger, sa.ForeignKey("campaigns.id", ondelete="CASCADE"), **options
    )
