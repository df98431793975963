"""A session that holds a slot, ends when the slot is recalled, and releases it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import Feed, Session, SessionError

_STOPPED = Attempt(Phase.DATA, None, "the session was stopped before this message")


class Slot(Protocol):
    """The permission for one session at a time."""

    on_recall: Callable[[], None] | None
    """Called when the slot is recalled while a session holds it."""

    @property
    def is_recalled(self) -> bool:
        """Whether its session is to end after the current message."""


_Slot = TypeVar("_Slot", bound=Slot)


class SlotSource(Protocol[_Slot]):
    """The slots of one connection."""

    async def take(self) -> _Slot | None:
        """Wait for a slot; None where `dismiss` ended the wait."""

    def release(self, slot: _Slot) -> None:
        """Free the slot of a session that has ended, or was not opened. Idempotent."""

    def dismiss(self) -> None:
        """End all waits: there is no mail for one more session, or the server is in trouble."""


async def open_with_slot(
    connection: Connection,
    slots: SlotSource[_Slot],
    opening: Callable[[Connection], Awaitable[Session]],
) -> Session:
    """Wait for a slot, then open a session."""
    slot = await slots.take()
    if slot is None:
        return NoSession()
    try:
        return SlottedSession(await opening(connection), slot, slots)
    except BaseException as error:
        if isinstance(error, SessionError):
            slots.dismiss()  # the connection sender decides whether to try again
        slots.release(slot)
        raise


class RecallableFeed:
    """A feed that has no more mail once the slot is recalled. Implements `Feed`."""

    __slots__ = ("_feed", "_pending", "_slot", "dot", "ran_dry", "settled")

    def __init__(self, feed: Feed, slot: Slot) -> None:
        self._feed = feed
        self._slot = slot
        self._pending: asyncio.Future[Envelope | None] | None = None
        slot.on_recall = self._recalled
        self.dot = feed.dot
        self.settled = feed.settled
        self.ran_dry = False
        """Whether the session ended because there was no more mail for it."""

    async def next(self) -> Envelope | None:
        envelope = self.next_nowait()
        if envelope is None and not self._slot.is_recalled:
            envelope = await self._awaited()
            self.ran_dry = envelope is None and not self._slot.is_recalled
        return envelope

    def next_nowait(self) -> Envelope | None:
        return None if self._slot.is_recalled else self._feed.next_nowait()

    async def _awaited(self) -> Envelope | None:
        self._pending = pending = asyncio.ensure_future(self._feed.next())
        try:
            await asyncio.wait({pending})
        except asyncio.CancelledError:
            while not pending.done():
                pending.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({pending})
            has_result = not (pending.cancelled() or pending.exception())
            if has_result and (envelope := pending.result()):
                self.settled(envelope, _STOPPED)
            raise
        return None if pending.cancelled() else pending.result()

    def _recalled(self) -> None:
        if self._pending:
            self._pending.cancel()


class SlottedSession(Generic[_Slot]):
    """A session with its slot. Implements `Session`."""

    def __init__(self, session: Session, slot: _Slot, slots: SlotSource[_Slot]) -> None:
        self._session = session
        self._slot = slot
        self._slots = slots

    async def send(self, feed: Feed) -> None:
        """Send until the feed ends or the slot is recalled; see `Session.send`."""
        recallable = RecallableFeed(feed, self._slot)
        try:
            await self._session.send(recallable)
        finally:
            if recallable.ran_dry:
                self._slots.dismiss()
            self._slots.release(self._slot)

    def abort(self) -> None:
        """Close the link at once."""
        self._session.abort()
        self._slots.release(self._slot)


class NoSession:
    """The session of a caller that is not needed any more. Implements `Session`."""

    async def send(self, feed: Feed) -> None:
        """Send nothing, and return at once."""

    def abort(self) -> None:
        """Do nothing, since no link was opened."""
