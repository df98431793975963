"""Tables of the events that providers report about messages after their 250."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, SmallInteger, Table, Text

from mailsluice.store.schema.metadata import metadata

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
