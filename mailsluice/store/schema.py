"""The tables. Times are seconds since the epoch, by the database's clock.

`recipients.id` grows in send order within a campaign: a connection's next recipients have the next
ids, and the one index that finds them never changes while a campaign is sent. No index, and no
index's condition, has a column that an ordinary message changes, and pages are half empty at the
launch (fillfactor 50). So PostgreSQL writes no index entry for a claim or an outcome (HOT updates).
An index on a column that a claim writes would undo this.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    false,
    func,
    text,
    true,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives out row ids by itself for a column of exactly this type.
_Id = BigInteger().with_variant(Integer(), "sqlite")

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("content", Text, nullable=False),  # JSON: what makes it this campaign
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    # The audience as it was resolved: read = accepted + the four others.
    Column("read_rows", BigInteger, nullable=False, server_default="0"),
    Column("accepted", BigInteger, nullable=False, server_default="0"),
    Column("duplicates", BigInteger, nullable=False, server_default="0"),
    Column("suppressed", BigInteger, nullable=False, server_default="0"),
    Column("excluded", BigInteger, nullable=False, server_default="0"),
    Column("invalid", BigInteger, nullable=False, server_default="0"),
    Column("held_back", Text),  # JSON: how many of the suppressed ones for which reason
    Column("assignment_digest", Text),
    # The run that sends it now: one at a time.
    Column("owner", Text),
    Column("lease_until", Double),
    Column("journal", Text),  # the local journal that knows about the claims of the last run
    Column("return_key", Text),  # the secret of its return paths and Message-IDs
    Column("sender_domain", Text),  # in ASCII: what its Message-IDs end with
    # Whether each of its mails has a return path of its own, which reports have to name.
    Column("has_return_paths", Boolean, nullable=False, server_default=false()),
)

routes = Table(
    "routes",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("position", SmallInteger, nullable=False),
    Column("percent", Text),  # exact decimal
    Column("assigned", BigInteger, nullable=False),
)

moves = Table(
    "moves",
    metadata,
    Column("id", _Id, primary_key=True),
    Column(
        "campaign_id",
        ForeignKey("campaigns.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("origin", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text, nullable=False),  # warm-up, down
    Column("recipients", BigInteger, nullable=False),
    Column("of", BigInteger, nullable=False),  # what the origin had to send before
)
"""How many recipients changed their connection, and why, in the order in which they did."""

recipients = Table(
    "recipients",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),  # as it is sent to
    Column("folded", Text),  # as it is compared, where that is not as it is sent to: `compared`
    Column("connection", Text, nullable=False),
    Column("reassigned_from", Text),  # the connection it was assigned first, where it moved
    Column("claimed_by", BigInteger),  # the sender that did so last; null: the run itself
    Column("status", Text, nullable=False),
    Column("variables", Text, nullable=False),  # JSON object: column name to text
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("first_attempt_at", Double),
    Column("next_attempt_at", Double),
    Column("settled_at", Double),
    Column("code", SmallInteger),
    Column("reply", Text),
    Index("ix_recipients_claim", "campaign_id", "connection", "id"),
    Index(
        "ix_recipients_due",
        "campaign_id",
        "connection",
        "next_attempt_at",
        # Not the status: PostgreSQL writes a row's index entries anew where an update changes any
        # column of an index, its condition included (HOT). Only who is deferred has this time. The
        # room on the page that this takes is set in migration 0006 (fillfactor).
        sqlite_where=text("next_attempt_at IS NOT NULL"),
        postgresql_where=text("next_attempt_at IS NOT NULL"),
    ),
)

compared = func.coalesce(recipients.c.folded, recipients.c.email)
"""A recipient's address as it is compared: with `suppressions.email`, with `bounces.email`."""

rejects = Table(
    "rejects",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("row", BigInteger, primary_key=True),  # 1 is the first row of data
    Column("email", Text, nullable=False),  # as it was read
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", _Id, primary_key=True),
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
"""History of what was not accepted at once."""

senders = Table(
    "senders",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("connection", Text, nullable=False),
    Column("owner", Text, nullable=False),  # its flow run
    Column("journal", Text, nullable=False),  # on its machine: what it knows about its claims
    Column("started_at", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("is_idle", Boolean, nullable=False, server_default=false()),  # nothing in hand or due
    Column("standing", Text),  # JSON: what it has sent so far, and what it waits for
    # How it ended.
    Column("ended_at", Double),
    Column("ending", Text),  # done, stopped, waiting, down, lost
    Column("detail", Text),  # why it is down
    Column("next_at", Double),  # when there is something to send, where it waits
    Index("ix_senders_campaign_id", "campaign_id", "connection"),
)
"""The processes that send a campaign's recipients on its run's behalf, each over one connection."""

usage = Table(
    "usage",
    metadata,
    Column("key", Text, primary_key=True),  # whose limits: a connection's, a campaign's
    Column("state", Text, nullable=False),  # JSON, see mailsluice.limits.Usage
)
"""What was started under each limit, by all processes."""

warm_up_plans = Table(
    "warm_up_plans",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("day", Date, primary_key=True),  # where the connection is
    Column("planned", BigInteger, nullable=False),
    Index("ix_warm_up_plans_day", "connection", "day"),
)
"""How many recipients of a campaign go over a connection that warms up on a day."""

warm_up_days = Table(
    "warm_up_days",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("cap", BigInteger),  # as it was known when the day was last planned for
    Column("held_back_days", Integer, nullable=False),
    # What came of the day, once it was over.
    Column("attempted", BigInteger),
    Column("troubled", BigInteger),  # deferred or failed
)
"""The caps of connections that warm up, over all campaigns."""

suppressions = Table(
    "suppressions",
    metadata,
    Column("email", Text, primary_key=True),  # folded: see mailsluice.core.folding
    Column("reason", Text, nullable=False),  # unsubscribed, bounced, complained, manual, ...
    Column("source", Text, nullable=False),  # who or what says so
    Column("created_at", Double, nullable=False),
)
"""Addresses that get no mail, whatever campaign."""

bounces = Table(
    "bounces",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # of the report: the same one counts once
    Column("email", Text, nullable=False, index=True),  # folded
    Column("kind", Text, nullable=False),  # hard, soft, complaint
    Column("status", Text, nullable=False),  # enhanced status such as 5.1.1, or empty (RFC 3463)
    Column("detail", Text, nullable=False),  # what the server said
    Column("source", Text, nullable=False),  # the SMTP dialogue, or the mailbox it came back to
    Column("at", Double, nullable=False),
    # The mail that it is about, as far as it is known.
    Column("connection", Text),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="SET NULL")),
    Column("recipient_id", BigInteger),
    Column("counts", Boolean, nullable=False, server_default=true()),  # towards five soft ones
    Index("ix_bounces_campaign_id_connection", "campaign_id", "connection"),
)
"""Mail that came back, or was refused for good, and complaints."""

archives = Table(
    "archives",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("folder", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the manifest in it
    Column("counts", Text, nullable=False),  # JSON: recipients by connection and status
    Column("at", Double, nullable=False),
    Column("cleared_at", Double),  # when the last row that is in it was deleted here
)
"""Campaigns whose recipients, attempts and rejects are in a folder of files instead."""

alerts = Table(
    "alerts",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # bounces, complaints
    Column("threshold", Text, primary_key=True),  # in percent
    Column("at", Double, nullable=False),
)
"""What was told about a campaign: each threshold that it passed, once."""
