"""The usage of limits, and the plans and outcomes of warm-ups."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, Table, Text

from mailsluice.store.schema.metadata import metadata

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
