"""Messages between the run of a campaign and its processes, over pipes.

A frame is its length and its bytes. Orders to a process are pickled: they hold connections with
their secrets, and come from the process that started it. What a process tells is JSON, of plain
values only: a process reads what mail servers say, and cannot make its parent run code.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import astuple, dataclass
from typing import Any

import orjson

from mailsluice.core.outcome import Attempt
from mailsluice.smtp.connection import Connection

_LENGTH = struct.Struct("<I")


# Orders of the run to a process


@dataclass(frozen=True, slots=True)
class Begin:
    """The first order: send over these connections."""

    database_url: str
    home: str
    owner: str
    """The name of the sender, in `senders.owner`."""
    campaign: dict[str, Any]
    """The document, as JSON values."""
    connections: tuple[Connection, ...]
    """Each with the sessions of this process."""


@dataclass(frozen=True, slots=True)
class Update:
    """Use a connection's new settings."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Hold:
    """Start no message for now, or go on."""

    on_hold: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Let messages in flight finish, then end."""


@dataclass(frozen=True, slots=True)
class ReadMoves:
    """Read in the database which recipients have moved, and whether more may."""


@dataclass(frozen=True, slots=True)
class SlotAnswer:
    """The answer to AskSlot."""

    connection: str
    ticket: int
    is_lent: bool
    trouble: str = ""
    """Why no slot can be had any more."""


@dataclass(frozen=True, slots=True)
class RecallSlot:
    """End the session of this slot, between two messages."""

    connection: str
    ticket: int


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """The answer to AskToken: an access token, or why there is none."""

    ticket: int
    token: str | Attempt


Order = Begin | Update | Hold | Stop | ReadMoves | SlotAnswer | RecallSlot | TokenAnswer


# What a process tells


@dataclass(frozen=True, slots=True)
class AskSlot:
    """The process wants to open a session."""

    connection: str
    ticket: int


@dataclass(frozen=True, slots=True)
class GiveBackSlot:
    """The session has ended, or is not wanted any more."""

    connection: str
    ticket: int


@dataclass(frozen=True, slots=True)
class DismissSlots:
    """No session is to wait for a slot now."""

    connection: str


@dataclass(frozen=True, slots=True)
class AskToken:
    """A session needs an access token, other than `refused`."""

    connection: str
    ticket: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class NextIn:
    """Seconds until the process has something to do; None: never. Told every second."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A line for the log of the run."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The process has sent what it could over a connection; its row in `senders` says how."""

    connection: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The process cannot continue."""

    reason: str


Told = AskSlot | GiveBackSlot | DismissSlots | AskToken | NextIn | Logged | PartEnded | Failed
_TOLD: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        AskSlot,
        GiveBackSlot,
        DismissSlots,
        AskToken,
        NextIn,
        Logged,
        PartEnded,
        Failed,
    )
}


def order_frame(order: Order) -> bytes:
    """The frame of an order."""
    return _frame(pickle.dumps(order))


def told_frame(told: Told) -> bytes:
    """The frame of what a process tells."""
    return _frame(orjson.dumps([type(told).__name__, *astuple(told)]))


async def read_order(reader: asyncio.StreamReader) -> Order | None:
    """Read the next order; None where the run has gone."""
    content = await _read(reader)
    if content is None:
        return None
    order: Order = pickle.loads(content)  # noqa: S301 from the process that started this one
    return order


async def read_told(reader: asyncio.StreamReader) -> Told | None:
    """Read what a process tells next; None where the process has gone."""
    content = await _read(reader)
    if content is None:
        return None
    kind, *values = orjson.loads(content)
    told: Told = _TOLD[kind](*values)
    return told


def _frame(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
