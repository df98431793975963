"""A process that sends a part of a campaign on behalf of its run. Started by `Processes` only.

It is a sender like those on Prefect's workers (`SenderRun`): it claims for itself, and others take
its recipients over when it dies. It gets its orders through its standard input, and tells what
happens through its standard output. When the pipe ends, the run has died: messages in flight
finish, and the process ends.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mailsluice.campaign import Campaign
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.masking import masked
from mailsluice.delivery import RouteResult, SenderRun
from mailsluice.delivery.engine import Engine
from mailsluice.delivery.slot_lending import BorrowedSlots
from mailsluice.delivery.slotted_session import open_with_slot
from mailsluice.oauth.client import OAuthLogin
from mailsluice.oauth.trouble import TokenError
from mailsluice.operations import launch
from mailsluice.operations.processes.frames import (
    AskSlot,
    AskToken,
    Begin,
    DismissSlots,
    Failed,
    GiveBackSlot,
    Hold,
    Logged,
    NextIn,
    Order,
    PartEnded,
    ReadMoves,
    RecallSlot,
    SlotAnswer,
    Stop,
    TokenAnswer,
    Told,
    Update,
    read_order,
    told_frame,
)
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import Session
from mailsluice.store import Database, Ending
from mailsluice.store.trouble import DatabaseError

_TELL_SECONDS = 1.0
_UPDATE_SECONDS = 0.5  # between two tries to use changed settings
_LAST_LOOKS, _LAST_LOOK_SECONDS = 100, 0.02
_GENERATIONS = (10_000, 20, 50)
"""Objects of a message die with it, so the collector of cycles may look for them less often."""

Tell = Callable[[Told], None]


class Desk:
    """The run's slots of one connection. Implements `slot_lending.Desk`, on the engine's loop."""

    def __init__(self, connection: str, tell: Tell) -> None:
        self._connection = connection
        self._tell = tell
        self.borrowed = BorrowedSlots(self)

    def ask(self, ticket: int) -> None:
        self._tell(AskSlot(self._connection, ticket))

    def give_back(self, ticket: int) -> None:
        self._tell(GiveBackSlot(self._connection, ticket))

    def dismiss(self) -> None:
        self._tell(DismissSlots(self._connection))


class RunTokens:
    """The access tokens of the run. Implements `TokenSource`, on the engine's loop."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._tickets = 0
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def token(self, login: OAuthLogin, refused: str | None = None) -> str:
        self._tickets += 1
        ticket = self._tickets
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[ticket] = answer
        self._tell(AskToken(login.name, ticket, refused))
        try:
            return await answer
        finally:
            self._asked.pop(ticket, None)

    def answered(self, answer: TokenAnswer) -> None:
        """Take the run's answer."""
        asked = self._asked.get(answer.ticket)
        if asked is None or asked.done():
            return
        if isinstance(answer.token, str):
            asked.set_result(answer.token)
        else:
            asked.set_exception(TokenError(answer.token))


class Part:
    """The part of one connection that this process sends."""

    def __init__(self, run: SenderRun, name: str, tokens: RunTokens, tell: Tell) -> None:
        self._opening = partial(open_session, tokens=tokens)
        self.run = run
        self.slots = Desk(name, tell).borrowed

    async def send(self, document: Campaign, connection: Connection) -> None:
        """Send until nothing is left or the run stops, and record how it ended."""
        columns = await asyncio.to_thread(self.run.outbox.columns)
        identities = launch.identities(document, [connection])
        messages = launch.messages(document, columns, identities, self.run.record.return_key)
        message = messages[connection.name]
        result = await self.run.send(connection, message, open_session=self._open)
        await self.run.end(self._ending(result))

    async def _open(self, connection: Connection) -> Session:
        return await open_with_slot(connection, self.slots, self._opening)

    def _ending(self, result: RouteResult) -> Ending:
        if result.down:
            return Ending.DOWN
        return Ending.STOPPED if self.run.is_stopping else Ending.DONE


class Child:
    """The parts of this process, and its pipes to the run."""

    def __init__(self, reader: asyncio.StreamReader, pipe: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._pipe = pipe
        self._loop = asyncio.get_running_loop()
        self._engine = Engine()
        self._tokens = RunTokens(self.tell)
        self._connections: dict[str, Connection] = {}
        self._parts: dict[str, Part] = {}
        self._updated: set[str] = set()
        """Connections whose new settings their parts do not use yet."""
        self._has_updates = asyncio.Event()
        self._has_moves = asyncio.Event()
        self._on_hold = False
        self._is_stopping = False
        self._is_told_to_stop = False

    def tell(self, told: Told) -> None:
        """Tell the run something. Thread-safe."""
        self._loop.call_soon_threadsafe(self._write, told_frame(told))

    def _write(self, frame: bytes) -> None:
        if not self._pipe.is_closing():  # else the run has died
            self._pipe.write(frame)

    async def run(self) -> int:
        """Carry out the orders until all is sent; returns the exit code."""
        begin = await read_order(self._reader)
        if not isinstance(begin, Begin):
            return 0  # the run has died before it told anything
        self._connections = {connection.name: connection for connection in begin.connections}
        listening = asyncio.ensure_future(self._listen())
        telling = asyncio.ensure_future(self._tell_regularly())
        updating = asyncio.ensure_future(self._update_parts())
        reading = asyncio.ensure_future(self._read_moves())
        try:
            await self._send(begin)
        except (MailsluiceError, DatabaseError) as error:
            self.tell(Failed(masked(str(getattr(error, "orig", error)))))
            return 1
        finally:
            beside = (listening, telling, updating, reading)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.to_thread(self._engine.close)
        return 0

    async def _send(self, begin: Begin) -> None:
        document = Campaign.model_validate(begin.campaign)
        database = await asyncio.to_thread(Database, begin.database_url)
        try:
            for name in self._connections:
                run = await asyncio.to_thread(
                    SenderRun,
                    database,
                    document,
                    name,
                    owner=begin.owner,
                    home=Path(begin.home),
                    engine=self._engine,
                )
                self._parts[name] = Part(run, name, self._tokens, self.tell)
            self._follow()
            gc.collect()
            gc.freeze()
            sending = [self._send_part(name, document) for name in self._parts]
            ends = await asyncio.gather(*sending, return_exceptions=True)
            for end in ends:
                if end is not None:
                    raise end
        finally:
            await asyncio.gather(*(part.run.close() for part in self._parts.values()))
            await asyncio.to_thread(database.close)

    async def _send_part(self, name: str, document: Campaign) -> None:
        part = self._parts[name]
        await part.send(document, self._connections[name])
        # A part that only a signal has stopped is not done: the run starts another process for it.
        if self._is_told_to_stop or not part.run.is_stopping:
            self.tell(PartEnded(name))

    def stop(self) -> None:
        """Let messages in flight finish, then end."""
        self._is_stopping = True
        self._follow()

    def _follow(self) -> None:
        for part in self._parts.values():
            part.run.on_hold = self._on_hold
            if self._is_stopping:
                part.run.stop()

    async def _listen(self) -> None:
        try:
            while order := await read_order(self._reader):
                self._obey(order)
        finally:
            self.stop()  # the run has died, or cannot be understood

    def _obey(self, order: Order) -> None:
        match order:
            case SlotAnswer(connection, ticket, is_lent, trouble):
                why = RuntimeError(f"no session can be opened: {trouble}") if trouble else None
                answered = self._parts[connection].slots.answered
                self._engine.call(answered, ticket, is_lent, why)
            case RecallSlot(connection, ticket):
                self._engine.call(self._parts[connection].slots.recalled, ticket)
            case TokenAnswer():
                self._engine.call(self._tokens.answered, order)
            case Update(connection):
                self._connections[connection.name] = connection
                self._updated.add(connection.name)
                self._has_updates.set()
            case ReadMoves():
                self._has_moves.set()
            case Hold(on_hold):
                self._on_hold = on_hold
                self._follow()
            case Stop():
                self._is_told_to_stop = True
                self.stop()

    async def _update_parts(self) -> None:
        """Have the parts use changed settings, as soon as they send and the database answers.

        The run tells a change once.
        """
        while True:
            await self._has_updates.wait()
            self._has_updates.clear()
            names, self._updated = self._updated, set()
            self._updated |= {name for name in names if not await self._is_updated(name)}
            if self._updated:
                await asyncio.sleep(_UPDATE_SECONDS)
                self._has_updates.set()

    async def _read_moves(self) -> None:
        """Have the parts look for recipients of other connections, when the run says so."""
        while True:
            await self._has_moves.wait()
            self._has_moves.clear()
            for part in list(self._parts.values()):
                await part.run.look()

    async def _is_updated(self, name: str) -> bool:
        part = self._parts.get(name)
        if part is None or not part.run.sends_over(name):
            return False
        try:
            await part.run.update(self._connections[name])
        except (MailsluiceError, DatabaseError):
            return False
        return True

    async def _tell_regularly(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            seconds = [await part.run.next_in() for part in self._parts.values()]
            least = min(seconds, default=0.0)
            self.tell(NextIn(None if math.isinf(least) else least))


class _Forward(logging.Handler):
    """Sends log lines to the run."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(Logged(record.name, record.levelno, record.getMessage()))


async def _main(output: int) -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pipe, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(output, "wb"))
    child = Child(reader, pipe)
    loop.add_signal_handler(signal.SIGTERM, child.stop)
    logger = logging.getLogger("mailsluice")
    logger.addHandler(_Forward(child.tell))
    logger.setLevel(logging.INFO)
    try:
        return await child.run()
    finally:
        await _written(pipe)


async def _written(pipe: asyncio.WriteTransport) -> None:
    """Wait until the last frames are written, for a few seconds."""
    for _ in range(_LAST_LOOKS):
        await asyncio.sleep(_LAST_LOOK_SECONDS)
        if pipe.is_closing() or not pipe.get_write_buffer_size():
            return


def main() -> None:
    """Run the process until its orders are carried out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for the run, which tells
    output = os.dup(1)
    os.dup2(2, 1)  # what anything prints must not come between the frames
    gc.set_threshold(*_GENERATIONS)
    sys.exit(asyncio.run(_main(output)))


if __name__ == "__main__":
    main()
