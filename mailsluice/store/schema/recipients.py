"""Recipients, and the attempts that failed.

`recipients.id` grows in send order within a campaign: a connection's next recipients have the next
ids, and the index that finds them never changes while a campaign is sent. No index, and no
condition of an index, has a column that an ordinary message changes, and pages are half empty at
the launch. So PostgreSQL writes no index entry for a claim or an outcome (HOT updates). An index on
a column that a claim writes would undo this. Only with the strategy 'throughput' does a claim write
`connection`, and so an index entry.

On PostgreSQL, `recipients` and `attempts` have no rows of their own: the tables that inherit from
them have the rows, see `mailsluice.store.campaign_tables`. A statement that names `recipients`
reads and changes the recipients of all campaigns there, and a rule passes an INSERT to the shared
table.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    func,
)

from mailsluice.store.schema.metadata import ID, metadata

recipients = Table(
    "recipients",
    metadata,
    Column("id", ID, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),  # as used for sending
    Column("folded", Text),  # as compared (see `compared`), when that differs from `email`
    Column("connection", Text, nullable=False),
    Column("reassigned_from", Text),  # the first connection, for a recipient that moved
    Column(
        "claimed_by", BigInteger
    ),  # the sender that claimed last; null for the campaign's own run
    Column("status", Text, nullable=False),
    Column("variables", Text, nullable=False),  # JSON object: column name to text
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("first_attempt_at", Double),
    Column("next_attempt_at", Double),
    Column("settled_at", Double),
    Column("code", SmallInteger),
    Column("reply", Text),
    # A number of `campaign_providers`; null for campaigns that are older than this column.
    Column("provider", SmallInteger),
    # The last of `moves` that this recipient was in; null for recipients that never moved, or that
    # a warm-up moved at the launch.
    Column("move_id", BigInteger),
    # A number of `campaign_sources`; null where the campaign has one source.
    Column("source", SmallInteger),
    Index("ix_recipients_claim", "campaign_id", "connection", "id", "provider"),
    Index(
        "ix_recipients_due",
        "campaign_id",
        "connection",
        "next_attempt_at",
        # Only rows WHERE next_attempt_at IS NOT NULL: deferred recipients alone have this time. The
        # migrations set the condition; an argument for PostgreSQL here would load the dialects of
        # all its drivers. The condition is not on the status: PostgreSQL writes a row's index
        # entries again when an update changes any column of an index, including those of its
        # condition (HOT). The migrations reserve room on the page (fillfactor).
    ),
)


def compared(of: Table) -> ColumnElement[str]:
    """A recipient's address as compared with `suppressions.email` and `bounces.email`.

    `of` is `recipients`, or the table with the recipients of one campaign.
    """
    return func.coalesce(of.c.folded, of.c.email)


attempts = Table(
    "attempts",
    metadata,
    Column("id", ID, primary_key=True),
    Column(
        "recipient_id",
        ForeignKey("recipients.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("at", Double, nullable=False),
    Column("connection", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("code", SmallInteger),
    Column("reply", Text, nullable=False),
)
"""Attempts that were not accepted."""
