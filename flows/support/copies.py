"""Send copies of a campaign's message over each connection, and read them in probe mailboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

from prefect import get_run_logger

from blocks.loading import load_connections
from flows.support.document import source_access
from flows.support.operation import state_database
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.session_slots import SessionSlots
from mailsluice.assignment.assignment import assign
from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, find, first_in
from mailsluice.campaign import Campaign, SenderIdentity
from mailsluice.core.envelope import Envelope
from mailsluice.oauth.tokens import Tokens
from mailsluice.operations import launch
from mailsluice.operations.identities import shown_identities
from mailsluice.operations.preview import MessagePreview
from mailsluice.operations.preview.rendering import message_preview
from mailsluice.operations.send_test import Delivery, SendTestResult, copies, deliver
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import open_session
from mailsluice.store import Database
from tasks.resolve_recipients import resolve_recipients


async def send_copies(
    document: Campaign,
    day: date,
    to: Sequence[str],
    recipient: str,
    probes: Sequence[str] = (),
    wait_minutes: float = 0.0,
    *,
    is_marked: bool = True,
) -> SendTestResult:
    """Send a copy to each address and each probe mailbox, over each connection of the campaign.

    Args:
        document: The campaign, on its day.
        day: That day.
        to: Addresses that are checked.
        recipient: Whose values are filled in; empty for the first in send order.
        probes: The names of the blocks of probe mailboxes.
        wait_minutes: How long copies are looked for in probe mailboxes.
        is_marked: Whether the subject says that the copy is a test.
    """
    if probes:
        from flows.support import probing  # loads the IMAP library
    tokens = Tokens()
    async with keep_rotated_tokens(tokens, get_run_logger()), state_database() as database:
        watches = await probing.begin_watching(probes, tokens) if probes else []
        loaded = await load_connections(route.connection for route in document.routes)
        connections = [loaded[route.connection] for route in document.routes]
        access = await source_access(document)
        identities = launch.identities(document, connections)
        with await resolve_recipients(document, database, access, identities) as audience:
            sample, messages = await asyncio.to_thread(
                _read, document, day, audience, recipient, identities if is_marked else None
            )
        marks = {
            (connection.name, watch.probe.name): uuid4().hex
            for connection in connections
            for watch in watches
        }
        render = partial(
            copies,
            document,
            sample,
            now=partial(datetime.now, UTC),
            is_marked=is_marked,
        )
        occasion = str(uuid4())
        rendered = {}
        for connection in connections:
            name = connection.name
            given = partial(render, connection=name, identity=identities[name])
            envelopes = given(to, occasion=occasion) if to else []
            for watch in watches:
                mark = marks[name, watch.probe.name]
                address = watch.probe.account.recipient
                envelopes += given([address], occasion=mark, probe=mark)
            # Each copy has a number of its own, by which its attempt is found.
            rendered[name] = [
                envelope._replace(recipient_id=number)
                for number, envelope in enumerate(envelopes, 1)
            ]
        names = [*(str(n) for n in range(1, len(to) + 1)), *(w.probe.name for w in watches)]
        sending = (
            _deliver(connection, rendered[connection.name], database, tokens, names)
            for connection in connections
        )
        deliveries = await asyncio.gather(*sending)
        shown = shown_identities(document.message, identities, [*rendered])
        if not watches:
            return SendTestResult(document.name, deliveries, shown, messages=messages)
        probed = await probing.read_back(
            watches, deliveries, marks, database, document.resolve, wait_minutes
        )
        return SendTestResult(document.name, deliveries, shown, probed, messages)


def _read(
    document: Campaign,
    day: date,
    audience: Audience,
    recipient: str,
    identities: Mapping[str, SenderIdentity] | None,
) -> tuple[Sample, MessagePreview | None]:
    """The recipient whose values copies have, and a preview unless `identities` are None."""
    chosen = find(audience, recipient) if recipient else None
    if chosen and identities is None:
        return chosen, None
    keys = (audience.address_keys, audience.domain_keys)
    assignment = assign(*keys, document, day, audience.providers)
    preview = None
    if identities is not None:
        names = [route.connection for route in document.routes]
        route, order = assignment.route, assignment.order
        preview = message_preview(
            document, audience, order, lambda place: names[route[place]], identities, chosen
        )
    return chosen or first_in(audience, assignment.order, 1)[0], preview


async def _deliver(
    connection: Connection,
    envelopes: Sequence[Envelope],
    database: Database,
    tokens: Tokens,
    names: Sequence[str],
) -> Delivery:
    """Send over sessions that hold a slot each, as a campaign's sessions do."""
    opening = partial(open_session, tokens=tokens)
    slots = SessionSlots(connection, get_run_logger(), opening)
    try:
        return await deliver(connection, envelopes, database, open_session=slots.open, names=names)
    finally:
        await slots.close()
