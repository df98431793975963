"""One process of a campaign's run, as the run sees it."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from mailsluice.delivery.slot_lending import SlotDesk
from mailsluice.delivery.slotted_session import SlotSource
from mailsluice.oauth.tokens import TokenSource
from mailsluice.oauth.trouble import TokenError
from mailsluice.operations.processes.frames import (
    AskSlot,
    AskToken,
    Begin,
    DismissSlots,
    Failed,
    GiveBackSlot,
    Logged,
    NextIn,
    Order,
    PartEnded,
    RecallSlot,
    SlotAnswer,
    TokenAnswer,
    Told,
    order_frame,
    read_told,
)
from mailsluice.operations.processes.layout import Part
from mailsluice.smtp.connection import Connection

_CHILD = "mailsluice.operations.processes.child"


class Supervision(Protocol):
    """The parts of a run that a member uses."""

    @property
    def connections(self) -> Mapping[str, Connection]: ...

    @property
    def tokens(self) -> TokenSource: ...

    @property
    def slots(self) -> Callable[[str], SlotSource[Any]]: ...

    def part_ended(self, part: Part) -> None: ...


class Member:
    """A process that was started, until it ends. All calls are on one loop."""

    def __init__(
        self,
        supervision: Supervision,
        parts: Sequence[Part],
        process: asyncio.subprocess.Process,
    ) -> None:
        self._supervision = supervision
        self._parts = {part.connection: part for part in parts}
        self._process = process
        self._desks: dict[str, SlotDesk] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self.next_in = 0.0
        """Seconds until the process has something to do, as it told last."""
        self.reason = ""
        """Why the process could not continue, if it told."""

    @classmethod
    async def started(
        cls, supervision: Supervision, parts: Sequence[Part], begin: Begin, locks: Sequence[int]
    ) -> Member:
        """Start a process, a fresh interpreter, and give it its first order.

        The process inherits the descriptors `locks`, and keeps them open until it ends.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=locks,
            start_new_session=True,  # a Ctrl-C and the signals of a worker are meant for the run
        )
        member = cls(supervision, parts, process)
        member.tell(begin)
        return member

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, order: Order) -> None:
        """Give an order; a process that has ended gets none."""
        pipe = self._process.stdin
        if pipe is not None and not pipe.is_closing():
            pipe.write(order_frame(order))

    def kill(self) -> None:
        """End the process at once: others take its recipients over."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def run(self) -> None:
        """Answer the process until it has ended."""
        output = self._process.stdout
        assert output is not None  # noqa: S101 it is a pipe
        try:
            while told := await read_told(output):
                self._take(told)
            await self._process.wait()
        except BaseException:
            self.kill()
            await self._process.wait()
            raise
        finally:
            for desk in self._desks.values():
                desk.close()
            for asking in self._asking:
                asking.cancel()
            if self._process.stdin:
                self._process.stdin.close()

    def ended(self) -> str:
        """How the process ended, for people."""
        code = self._process.returncode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        return self.reason or f"it ended {how}"

    def _take(self, told: Told) -> None:
        match told:
            case AskSlot(connection, ticket):
                self._desk(connection).ask(ticket)
            case GiveBackSlot(connection, ticket):
                self._desk(connection).give_back(ticket)
            case DismissSlots(connection):
                self._desk(connection).dismiss()
            case AskToken(connection, ticket, refused):
                asking = asyncio.ensure_future(self._token(connection, ticket, refused))
                self._asking.add(asking)
                asking.add_done_callback(self._asking.discard)
            case NextIn(seconds):
                self.next_in = math.inf if seconds is None else seconds
            case Logged(logger, level, text):
                logging.getLogger(logger).log(level, "%s", text)
            case PartEnded(connection):
                self._supervision.part_ended(self._parts[connection])
            case Failed(reason):
                self.reason = reason

    async def _token(self, connection: str, ticket: int, refused: str | None) -> None:
        known = self._supervision.connections[connection]
        try:
            token = await self._supervision.tokens.token(known, refused)
        except TokenError as error:
            self.tell(TokenAnswer(ticket, error.attempt))
        else:
            self.tell(TokenAnswer(ticket, token))

    def _desk(self, connection: str) -> SlotDesk:
        if connection not in self._desks:
            self._desks[connection] = SlotDesk(
                self._supervision.slots(connection),
                partial(self._answer, connection),
                lambda ticket: self.tell(RecallSlot(connection, ticket)),
            )
        return self._desks[connection]

    def _answer(
        self, connection: str, ticket: int, is_lent: bool, trouble: Exception | None
    ) -> None:
        text = f"{type(trouble).__name__}: {trouble}" if trouble else ""
        self.tell(SlotAnswer(connection, ticket, is_lent, text))
