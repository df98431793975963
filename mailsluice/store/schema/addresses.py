"""Tables of addresses and domains, whatever the campaign."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    true,
)

from mailsluice.store.schema.metadata import ID, metadata

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
    Column("id", ID, primary_key=True),
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

mail_domains = Table(
    "mail_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("accepts_mail", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)
"""The answers of name servers about recipients' domains. Housekeeping deletes expired ones."""

affinity_groups = Table(
    "affinity_groups",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False),  # counts the changes of the group
    Column("connections", Text, nullable=False),  # JSON: names; a number is a place in the list
    Column("updated_at", Double),
)
"""Groups of campaigns in which an address has the same connection."""

affinities = Table(
    "affinities",
    metadata,
    Column("group_id", ForeignKey("affinity_groups.id", ondelete="CASCADE"), primary_key=True),
    # The first bits of the keys on the page; see mailsluice.store.affinity_pages.
    Column("page", SmallInteger, primary_key=True, autoincrement=False),
    Column("address_keys", LargeBinary, nullable=False),  # 8 bytes an address, sorted
    Column("connections", LargeBinary, nullable=False),  # 2 bytes an address, in the same order
)
"""The connections of addresses, many in a row."""
