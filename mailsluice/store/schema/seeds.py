"""Tables of seed tests."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Table, Text

from mailsluice.store.schema.metadata import ID, metadata

seed_results = Table(
    "seed_results",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", Double, nullable=False, index=True),  # the same for all copies of a test
    Column("campaign", Text, nullable=False),  # the name in the document
    Column("connection", Text, nullable=False),
    Column("probe", Text, nullable=False),  # the name of the mailbox's block
    Column("provider", Text, nullable=False),  # who hosts the mailbox, or empty
    Column("placement", Text, nullable=False),  # inbox, spam, other, missing
    Column("delay_seconds", Double),  # None for a missing copy
    Column("spf", Text, nullable=False),  # the verdict, or empty
    Column("dkim", Text, nullable=False),
    Column("dmarc", Text, nullable=False),
    Column("tls", Text, nullable=False),
    Index("ix_seed_results_connection_at", "connection", "at"),
)
"""Copies of seed tests in probe mailboxes: a row for each. Housekeeping deletes old ones."""
