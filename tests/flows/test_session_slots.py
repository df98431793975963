"""Processes that share a connection pass slots on, over a real server's event stream."""

from __future__ import annotations

import asyncio
import logging
from uuid import uuid4

from flows.support.server_events import server_events
from flows.support.session_slots import SessionSlots
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Session
from tests.eventually import eventually_async

SHARED = Connection("shared", "smtp.example.com", 587, max_sessions=2)


async def never(_: Connection) -> Session:
    raise AssertionError


async def test_a_process_that_needs_a_slot_gets_one_of_several_that_another_has() -> None:
    async with server_events(uuid4()) as events:
        await eventually_async(lambda: events.is_subscribed)
        one, other = (
            SessionSlots(SHARED, logging.getLogger("run"), never, events) for _ in range(2)
        )
        held = [await one.slots.take() for _ in range(2)]
        waiting = asyncio.ensure_future(other.slots.take())
        await eventually_async(lambda: [slot for slot in held if slot and slot.is_recalled])
        assert not waiting.done()
        for slot in held:
            if slot and slot.is_recalled:
                one.slots.release(slot)
        assert await waiting is not None
        assert one.slots.open == other.slots.open == 1
        for process in (one, other):
            await process.close()
    assert not events.listeners
