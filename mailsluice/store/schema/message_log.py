"""How far message logs have been written: see `mailsluice.operations.message_log`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    LargeBinary,
    Table,
    Text,
    false,
)

from mailsluice.store.schema.metadata import metadata

message_logs = Table(
    "message_logs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("address_key", Text, nullable=False),  # the secret behind hashed addresses
    Column("since", Double, nullable=False),  # facts that are older are not in the log
    Column("cursors", Text, nullable=False),  # JSON: see mailsluice.store.message_log.Cursors
    Column("revision", BigInteger, nullable=False),  # counts the changes of the log's rows
    Column("updated_at", Double, nullable=False),
)
"""Message logs, each with one output and one writer."""

message_log_campaigns = Table(
    "message_log_campaigns",
    metadata,
    Column("log", ForeignKey("message_logs.name", ondelete="CASCADE"), primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("first_id", BigInteger, nullable=False),  # the campaign's lowest recipient
    Column("last_id", BigInteger, nullable=False),
    Column("is_closed", Boolean, nullable=False, server_default=false()),
)
"""The campaigns whose recipients a log has begun with; a closed one has all outcomes in the log."""

message_log_spans = Table(
    "message_log_spans",
    metadata,
    Column("log", ForeignKey("message_logs.name", ondelete="CASCADE"), primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # A bit for each id of the span; empty when the outcomes of all its recipients are in the log.
    Column("logged", LargeBinary, nullable=False),
)
"""The recipients whose outcomes a log has: spans of SPAN_IDS ids, of campaigns that are open."""
