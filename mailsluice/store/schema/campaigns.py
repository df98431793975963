"""A campaign: its routes, sources, providers and zones, and who sends it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    false,
)

from mailsluice.store.schema.metadata import ID, metadata

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", ID, primary_key=True),
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
    Column("id", ID, primary_key=True),
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

senders = Table(
    "senders",
    metadata,
    Column("id", ID, primary_key=True),
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
    Column("id", ID, primary_key=True),
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

alerts = Table(
    "alerts",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # bounces, complaints
    Column("threshold", Text, primary_key=True),  # in percent
    Column("at", Double, nullable=False),
)
"""Thresholds that a campaign passed and that were reported, once each."""

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

campaign_summaries = Table(
    "campaign_summaries",
    metadata,
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    # How often the recipients may have changed, and what that was when they were counted last.
    Column("changes", BigInteger, nullable=False, server_default="0"),
    Column("counted_changes", BigInteger),
    Column("accepted", BigInteger),  # messages that servers have accepted
    Column("per_second", Double),  # messages, lately or in the last run
    Column("expected_end", Double),  # while it is sent; null: not known
    # The same for what providers and returned mail say about accepted messages.
    Column("later_changes", BigInteger, nullable=False, server_default="0"),
    Column("counted_later_changes", BigInteger),
    Column("delivered", BigInteger),  # null: no event says so
    Column("bounced", BigInteger),
    Column("complained", BigInteger),
    Column("run_id", Text),  # the last flow run that sent the campaign
    Column("reported_at", Double),  # when its report was published last
)
"""The numbers of each campaign as counted last, so that a list of campaigns counts nobody."""
