"""The tasks that store a seed test and publish its page."""

from __future__ import annotations

import asyncio

from prefect import task

from mailsluice.operations.seed_test.result import SeedTestResult
from mailsluice.operations.seed_test.trend import DAYS, seed_copies, trends
from mailsluice.operations.send_test import SendTestResult
from mailsluice.store import Database
from mailsluice.store.seeds import Seeds
from tasks.form_links import form_links
from tasks.publishing import UNSTORED, publish


@task(name="store-seed-test", task_run_name="Store the result", **UNSTORED)
async def store_seed_test(
    database: Database, test: SendTestResult, name: str, least_percent: float
) -> SeedTestResult:
    """Store what is known of each copy, and read the tests before."""
    return await asyncio.to_thread(_stored, database, test, name, least_percent)


@task(name="publish-seed-test", task_run_name="Publish the result", **UNSTORED)
async def publish_seed_test(result: SeedTestResult, name: str) -> None:
    """Publish the page of a seed test, under one key for each campaign's name in the document."""
    links = await form_links(
        {"plan-campaign": "Plan this campaign", "send-test": "Send copies to yourself"}
    )
    picture = await asyncio.to_thread(_picture, result)
    page = result.markdown(picture, links)
    await publish("seed-test", name, page=page, summary=result.summary())


def _stored(
    database: Database, test: SendTestResult, name: str, least_percent: float
) -> SeedTestResult:
    seeds = Seeds(database)
    seeds.record(name, seed_copies(test.probes.copies if test.probes else ()))
    connections = [delivery.connection for delivery in test.deliveries]
    return SeedTestResult(test, trends(seeds.since(connections, DAYS * 86_400.0)), least_percent)


def _picture(result: SeedTestResult) -> str:
    if not result.trends:
        return ""
    from mailsluice.operations.seed_test.figure import trend_picture  # loads matplotlib

    return trend_picture(result.trends, result.least_percent)
