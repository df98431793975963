"""The flow that compares connections by what became of their mail."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.support.operation import operation, state_database
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.reports.comparison import Question, compare
from tasks.comparison import publish_comparison

Name = Annotated[str, Field(min_length=1, max_length=200)]
Campaigns = Annotated[
    list[Name], Field(min_length=1, max_length=100, json_schema_extra={"title": "Campaigns"})
]
Connections = Annotated[
    list[Name], Field(max_length=20, json_schema_extra={"title": "Connections"})
]
Confidence = Annotated[float, Field(ge=0.8, le=0.999, json_schema_extra={"title": "Confidence"})]
Points = Annotated[
    float, Field(ge=0.05, le=20, json_schema_extra={"title": "Smallest difference, in points"})
]


def _run_name() -> str:
    first, *others = flow_run.get_parameters().get("campaigns") or ["campaigns"]
    return f"compare connections: {first}" + (f" and {len(others)} more" if others else "")


@operation("compare-connections", run_name=_run_name)
async def compare_connections(
    campaigns: Campaigns,
    connections: Connections = [],  # noqa: B006 # Prefect validates a copy of it
    confidence: Confidence = 0.95,
    smallest_difference_points: Points = 0.5,
) -> State[Any]:
    """Compare how often the mail of connections is deferred, refused or bounced, and arrives.

    Every two connections are compared within the same campaign and mailbox provider: by the
    servers' replies, and, where both providers report events, by deliveries, blocks, complaints and
    times. This changes nothing, so you may run it at any time; but decide beforehand when you look
    at the result. Returns the `Comparison`.

    Args:
        campaigns: Names of one to a hundred campaigns; with the day, where {date} was in it.
        connections: The connections to compare. Left empty: all connections of these campaigns.
        confidence: The confidence of each interval, and of all verdicts of the page together.
        smallest_difference_points: The smallest difference that matters, in percentage points.
    """
    question = Question(confidence, smallest_difference_points / 100)
    async with state_database() as database:
        observed = await asyncio.to_thread(observe, database, campaigns, connections)
    comparison = await asyncio.to_thread(compare, observed, question)
    await publish_comparison(comparison)
    return Completed(message=comparison.summary(), data=comparison)
