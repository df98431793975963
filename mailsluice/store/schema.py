"""The tables. Times are seconds since the epoch, by the database's clock.

`recipients.id` grows in send order within a campaign: a connection's next recipients have the next
ids, and the index that finds them never changes while a campaign is sent. No index, and no
condition of an index, has a column that an ordinary message changes, and pages are half empty at
the launch. So PostgreSQL writes no index entry for a claim or an outcome (HOT updates). An index on
a column that a claim writes would undo this.

On PostgreSQL, `recipients` and `attempts` have no rows of their own: the tables that inherit from
them have the rows, see `mailsluice.store.campaign_tables`. A statement that names `recipients`
reads and changes the recipients of all campaigns there, and a rule passes an INSERT to the shared
table.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
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
    true,
)

REVISION = "0026"
"""The last of `mailsluice.store.migrations`: what a database with these tables has."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite assigns row ids by itself to a column of exactly this type.
_Id = BigInteger().with_variant(Integer(), "sqlite")

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column(
        "content", Text, nullable=False
    ),  # JSON: the part of the document that identifies the campaign
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    # The audience as resolved: read_rows is the sum of the six columns that follow.
    Column("read_rows", BigInteger, nullable=False, server_default="0"),
    Column("accepted", BigInteger, nullable=False, server_default="0"),
    Column("duplicates", BigInteger, nullable=False, server_default="0"),
    Column("suppressed", BigInteger, nullable=False, server_default="0"),
    Column("excluded", BigInteger, nullable=False, server_default="0"),
    Column("invalid", BigInteger, nullable=False, server_default="0"),
    Column("no_mail_server", BigInteger, nullable=False, server_default="0"),
    Column("held_back", Text),  # JSON: suppressed rows by the reason of their suppression
    Column("assignment_digest", Text),
    # JSON: see mailsluice.core.affinity_counts; null for a campaign without affinity.
    Column("affinity", Text),
    # The run that sends the campaign now; there is one at a time.
    Column("owner", Text),
    Column("lease_until", Double),
    Column("journal", Text),  # the local journal with the claims of the last run
    Column("return_key", Text),  # the secret behind return paths and Message-IDs
    Column("sender_domain", Text),  # in ASCII; the end of the Message-IDs
    # Whether each message has a return path of its own, which bounce reports must contain.
    Column("has_return_paths", Boolean, nullable=False, server_default=false()),
    # The lowest and highest recipient of a campaign that has tables of its own; null for others.
    Column("first_recipient_id", BigInteger),
    Column("last_recipient_id", BigInteger),
    # Where the mail is spread evenly: from when on, and until when.
    Column("spread_since", Double),
    Column("finish_at", Double),
    Column("takers", Text),  # JSON: the connections that may get recipients of others in this run
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
    Column("reason", Text, nullable=False),  # warm-up, down, held
    Column("recipients", BigInteger, nullable=False),
    Column("of", BigInteger, nullable=False),  # recipients that the origin had to send to before
    Column("at", Double),  # null for moves that are older than this column
    Column("first_recipient_id", BigInteger),  # the lowest recipient that moved, if it is known
)
"""Moves of recipients to another connection, in the order in which they happened."""

recipients = Table(
    "recipients",
    metadata,
    Column("id", _Id, primary_key=True),
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


campaign_providers = Table(
    "campaign_providers",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("provider", Text, nullable=False),  # as mailsluice.mailbox_providers names it
    Column("recipients", BigInteger, nullable=False),
)
"""The mailbox providers of a campaign's recipients; 1 is the one with most recipients."""

campaign_sources = Table(
    "campaign_sources",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),  # the file, or the database of the query
    Column("rows_before", BigInteger, nullable=False),  # of earlier sources; see rejects.row
    # The rows of the source: read_rows is the sum of the six columns that follow.
    Column("read_rows", BigInteger, nullable=False),
    Column("accepted", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("suppressed", BigInteger, nullable=False),
    Column("excluded", BigInteger, nullable=False),
    Column("invalid", BigInteger, nullable=False),
    Column("no_mail_server", BigInteger, nullable=False),
)
"""The sources of a campaign's recipients, if there are several."""
campaign_zones = Table(
    "campaign_zones",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("zone", Text, nullable=False),  # empty: the time zone of the sending window
    Column("recipients", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),  # the zone's last recipient
)
"""The recipients' time zones, in the order of their ids; empty unless the window is by zone."""

mail_domains = Table(
    "mail_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("accepts_mail", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)
"""The answers of name servers about recipients' domains. Housekeeping deletes expired ones."""

rejects = Table(
    "rejects",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    # 1 is the first row of data; the rows of all sources are numbered through.
    Column("row", BigInteger, primary_key=True),
    Column("email", Text, nullable=False),  # as read from the source
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
"""Attempts that were not accepted."""

senders = Table(
    "senders",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("connection", Text, nullable=False),
    Column("owner", Text, nullable=False),  # the id of its flow run
    Column("journal", Text, nullable=False),  # the journal of its claims, on its machine
    Column("started_at", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column(
        "is_idle", Boolean, nullable=False, server_default=false()
    ),  # it has nothing in hand, and nothing is due
    Column("standing", Text),  # JSON: its progress, and what it waits for
    # The end of the sender.
    Column("ended_at", Double),
    Column("ending", Text),  # done, stopped, waiting, down, lost
    Column("detail", Text),  # why its connection is down
    Column("next_at", Double),  # when a waiting sender's connection can send again
    Index("ix_senders_campaign_id", "campaign_id", "connection"),
)
"""Processes that send on behalf of a campaign's run, each over one connection."""

usage = Table(
    "usage",
    metadata,
    Column("key", Text, primary_key=True),  # names the limits of a connection or a campaign
    Column("state", Text, nullable=False),  # JSON, see mailsluice.limits.Usage
)
"""The usage of each limit by all processes."""

warm_up_plans = Table(
    "warm_up_plans",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("connection", Text, primary_key=True),
    # A mailbox provider with caps of its own; empty for all recipients of the connection.
    Column("provider", Text, primary_key=True, server_default=""),
    Column("day", Date, primary_key=True),  # in the time zone of the warm-up
    Column("planned", BigInteger, nullable=False),
    Index("ix_warm_up_plans_day", "connection", "day"),
)
"""Recipients of a campaign that a connection in warm-up sends to on a day; also by provider."""

warm_up_days = Table(
    "warm_up_days",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("provider", Text, primary_key=True, server_default=""),  # as in warm_up_plans
    Column("day", Date, primary_key=True),
    Column("cap", BigInteger),  # as known when a launch last planned for the day
    Column("held_back_days", Integer, nullable=False),
    # The outcome of the day, after its end.
    Column("attempted", BigInteger),
    Column("troubled", BigInteger),  # deferred or failed, also as events report it
    Column("complained", BigInteger),
)
"""Daily caps of connections in warm-up, and of mailbox providers there, over all campaigns."""

suppressions = Table(
    "suppressions",
    metadata,
    Column("email", Text, primary_key=True),  # folded: see mailsluice.core.folding
    Column("reason", Text, nullable=False),  # unsubscribed, bounced, complained, manual, ...
    Column("source", Text, nullable=False),  # who or what reported it
    Column("created_at", Double, nullable=False),
)
"""Addresses that receive no mail, whatever the campaign."""

bounces = Table(
    "bounces",
    metadata,
    Column("id", _Id, primary_key=True),
    Column(
        "key", Text, nullable=False, unique=True
    ),  # identifies the report, so that it counts once
    Column("email", Text, nullable=False, index=True),  # folded
    Column("kind", Text, nullable=False),  # hard, soft, complaint
    Column("status", Text, nullable=False),  # enhanced status such as 5.1.1, or empty (RFC 3463)
    Column("detail", Text, nullable=False),  # the server's text
    Column(
        "source", Text, nullable=False
    ),  # the SMTP dialogue, or the mailbox that received the report
    Column("at", Double, nullable=False),
    # The message that the report is about, as far as known.
    Column("connection", Text),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="SET NULL")),
    Column("recipient_id", BigInteger),
    Column(
        "counts", Boolean, nullable=False, server_default=true()
    ),  # towards the soft bounces that suppress an address
    Index("ix_bounces_campaign_id_connection", "campaign_id", "connection"),
)
"""Bounces, permanent refusals and complaints."""

archives = Table(
    "archives",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("folder", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the manifest in the folder
    Column("counts", Text, nullable=False),  # JSON: recipients by connection and status
    # JSON: see mailsluice.reports.providers.counts; null in archives of earlier versions.
    Column("providers", Text),
    Column("at", Double, nullable=False),
    Column("cleared_at", Double),  # when the last archived row was deleted from the database
)
"""Campaigns whose recipients, attempts and rejects are in files instead."""

alerts = Table(
    "alerts",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # bounces, complaints
    Column("threshold", Text, primary_key=True),  # in percent
    Column("at", Double, nullable=False),
)
"""Thresholds that a campaign passed and that were reported, once each."""

canaries = Table(
    "canaries",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("recipients", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),  # the connection's recipients up to this one
    Column("judged_at", Double),  # the end of the wait; null until all of them were attempted
    Column("decided_at", Double),  # from then on, the other recipients are claimed, too
)
"""The recipients of each connection that are sent to before all others."""

holds = Table(
    "holds",
    metadata,
    Column("id", _Id, primary_key=True),
    Column(
        "campaign_id",
        ForeignKey("campaigns.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("connection", Text, nullable=False),
    Column("provider", SmallInteger),  # null: the whole connection
    Column("reason", Text, nullable=False),  # bounced, blocked, complained; canary
    Column("limit_percent", Double),  # the limit that was passed
    Column("figures", Text, nullable=False),  # JSON: by provider, see mailsluice.stop_loss.Figures
    Column("at", Double, nullable=False),
    # The operator's decision.
    Column("decision", Text),  # go on, stop, move
    Column("target", Text),  # the connection that recipients move to
    Column("decided_at", Double),
)
"""Parts of a campaign that wait for an operator's decision, and what was decided."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("recipient_id", BigInteger, primary_key=True, autoincrement=False),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("connection", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),  # see mailsluice.events.merging
    Column("at", Double, nullable=False),  # when the state was reached
    Column("state", Text, nullable=False),  # deferred, delivered, dropped, bounced, ...
    Column("failure", Text, nullable=False),  # of a bounce: hard, soft, block; or empty
    Column("reply", Text, nullable=False),  # the words of the recipient's server
    Column("status", Text, nullable=False),  # enhanced status such as 5.1.1, or empty (RFC 3463)
    Column("mailbox_provider", Text, nullable=False),  # as the provider names it, or empty
    # The earliest time of each state that was reported.
    Column("deferred_at", Double),
    Column("delivered_at", Double),
    Column("dropped_at", Double),
    Column("bounced_at", Double),
    Column("unsubscribed_at", Double),
    Column("complained_at", Double),
    Index("ix_deliveries_campaign_id_connection", "campaign_id", "connection"),
)
"""What became of accepted messages, by the events of providers: a row for each recipient."""

events = Table(
    "events",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("key", Text, primary_key=True),  # the provider's id of the event
    Column("state", Text, nullable=False),
    Column("at", Double, nullable=False),  # by the provider's clock
    Column("received_at", Double, nullable=False, index=True),
    Column("matched_by", Text, nullable=False),  # token, message id, ...; or why nothing matched
    Column("recipient_id", BigInteger),
)
"""Events of providers, so that each counts once. Housekeeping deletes old ones."""

event_cursors = Table(
    "event_cursors",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("account", Text, nullable=False),  # which account was asked
    Column("settled_at", Double),  # the end of the last window that is done
    Column("since", Double),  # the window that is being fetched, if any
    Column("until", Double),
    Column("page", Text, nullable=False),  # its next page, as the provider calls it
    Column("revision", BigInteger, nullable=False),  # counts the changes of the row
    Column("updated_at", Double, nullable=False),
)
"""How far the events of connections have been fetched from their providers."""
