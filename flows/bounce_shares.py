"""Telling of campaigns of which too much came back."""

from __future__ import annotations

from collections.abc import Collection

from prefect.logging.loggers import LoggingAdapter

from mailsluice.outbox import Database


async def tell_bounce_shares(
    database: Database, campaign_ids: Collection[int], logger: LoggingAdapter
) -> None:
    """Emit an event for each of the campaigns whose bounces or complaints have passed a threshold.

    Once a campaign and threshold, however often it is called.
    """
