"""The flow that sends copies of a campaign's message to the operator's own addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Any
from uuid import uuid4

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from blocks.loading import load_connections
from flows.support.document import CampaignParameter, database_engines, for_its_day, named_in
from flows.support.operation import operation, state_database
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.session_slots import SessionSlots
from mailsluice.assignment.assignment import assign
from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, find, first_in
from mailsluice.campaign import Campaign
from mailsluice.core.envelope import Envelope
from mailsluice.operations import launch
from mailsluice.operations.identities import shown_identities
from mailsluice.operations.send_test import (
    Delivery,
    SendTestResult,
    checked_addresses,
    copies,
    deliver,
)
from mailsluice.operations.send_test.copies import MOST
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import open_session
from mailsluice.smtp.tokens import Tokens
from mailsluice.store import Database
from tasks.resolve_recipients import resolve_recipients
from tasks.send_test import publish_test

# Bounds for the form alone: an error of Prefect's own check would repeat the addresses.
Addresses = Annotated[
    list[str], Field(json_schema_extra={"minItems": 1, "maxItems": MOST, "title": "To"})
]
ChosenRecipient = Annotated[str, Field(json_schema_extra={"title": "Values of recipient"})]


def _run_name() -> str:
    return f"test {named_in(flow_run.get_parameters().get('campaign'))}"


@operation("send-test", run_name=_run_name)
async def send_test(
    campaign: CampaignParameter, to: Addresses, recipient: ChosenRecipient = ""
) -> State[Any]:
    """Send one recipient's message to your own addresses, over each connection.

    Each address gets one copy over each connection, marked in its subject. The campaign and its
    recipients do not change. Returns the `SendTestResult`.

    Args:
        campaign: The campaign, as send-campaign takes it.
        to: Up to ten addresses of your own, best at different providers.
        recipient: The address of the recipient whose values are filled in. Left empty: the first
            recipient in send order, which plan-campaign shows.
    """
    document, day = await for_its_day(campaign)
    result = await _send(document, day, checked_addresses(to), recipient)
    await publish_test(result)
    ended = Completed if result.is_accepted else Failed
    return ended(message=result.summary(), data=result)


async def _send(document: Campaign, day: date, to: Sequence[str], recipient: str) -> SendTestResult:
    loaded = await load_connections(route.connection for route in document.routes)
    connections = [loaded[route.connection] for route in document.routes]
    connect = await database_engines(document)
    identities = launch.identities(document, connections)
    async with state_database() as database:
        with await resolve_recipients(document, database, connect, identities) as audience:
            sample = await asyncio.to_thread(_sample, document, day, audience, recipient)
        render = partial(
            copies,
            document,
            sample,
            to,
            occasion=str(uuid4()),
            now=partial(datetime.now, UTC),
        )
        rendered = {
            connection.name: render(
                connection=connection.name, identity=identities[connection.name]
            )
            for connection in connections
        }
        tokens = Tokens()
        sending = (
            _deliver(connection, rendered[connection.name], database, tokens)
            for connection in connections
        )
        async with keep_rotated_tokens(tokens, get_run_logger()):
            deliveries = await asyncio.gather(*sending)
        shown = shown_identities(document.message, identities, [*rendered])
        return SendTestResult(document.name, deliveries, shown)


def _sample(document: Campaign, day: date, audience: Audience, recipient: str) -> Sample:
    if recipient:
        return find(audience, recipient)
    keys = (audience.address_keys, audience.domain_keys)
    order = assign(*keys, document, day, audience.providers).order
    return first_in(audience, order, 1)[0]


async def _deliver(
    connection: Connection, envelopes: Sequence[Envelope], database: Database, tokens: Tokens
) -> Delivery:
    """Send over sessions that hold a slot each, as a campaign's sessions do."""
    opening = partial(open_session, tokens=tokens)
    slots = SessionSlots(connection, get_run_logger(), opening)
    try:
        return await deliver(connection, envelopes, database, open_session=slots.open)
    finally:
        await slots.close()
