"""The processes of a campaign's run: started, watched, replaced and stopped as one."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError, JournalError
from mailsluice.delivery import CampaignRun, RouteResult
from mailsluice.delivery.slotted_session import SlotSource
from mailsluice.oauth.tokens import TokenSource
from mailsluice.operations.processes.frames import Begin, Hold, ReadMoves, Stop, Update
from mailsluice.operations.processes.layout import Part, laid_out, process_count
from mailsluice.operations.processes.member import Member
from mailsluice.smtp.connection import Connection, differences
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_STOP_SECONDS = 60.0
"""How long a process may take to stop; longer than its messages in flight may take."""
_RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The pauses after processes that ended early, one after the other; then their parts are given up.
"""
_HEALTHY_SECONDS = 600.0
"""After so long, the end of a process has nothing to do with the ends before."""


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FreeSlots:
    """Slots without a limit over all runs, which Prefect would count. Implements `SlotSource`."""

    class Slot:
        """A slot that nobody recalls."""

        is_recalled = False
        on_recall: Callable[[], None] | None = None

    async def take(self) -> FreeSlots.Slot | None:
        return self.Slot()

    def release(self, slot: FreeSlots.Slot) -> None:
        """Do nothing: slots are not counted."""

    def dismiss(self) -> None:
        """Do nothing: nobody waits."""


@asynccontextmanager
async def processes_of(
    run: CampaignRun,
    campaign: Campaign,
    connections: Mapping[str, Connection],
    recipients: int,
    slots: Callable[[str], SlotSource[Any]] = lambda _: FreeSlots(),
    locks: Sequence[int] = (),
) -> AsyncIterator[Processes | None]:
    """The processes that a campaign's document asks for; None where the run's own process sends.

    Args:
        run: The campaign's run.
        campaign: The document.
        connections: The connections that the campaign uses.
        recipients: How many recipients the campaign has.
        slots: Returns the slots of a connection.
        locks: Descriptors that the processes inherit: files that are to stay locked until all
            sessions have ended, also when the run is killed.
    """
    sessions = {name: known.max_sessions for name, known in connections.items()}
    count = process_count(campaign.processes, sessions, cores=cores(), recipients=recipients)
    if count == 1:
        yield None
        return
    processes = Processes(run, campaign, connections, count, slots, locks)
    try:
        yield processes
    finally:
        await processes.close()


class Processes:
    """Sends over the connections of a campaign in several processes of this machine.

    Each process is a sender (`SenderRun`): senders share the recipients, the limits and the
    sessions of a connection. This object starts them, lends them slots, gets access tokens for
    them, passes on what changes, and takes over from a process that dies before it starts another
    one for the same parts. Everything here runs on one event loop, which need not be the engine's.

    The run sends nothing itself; `CampaignRun.stop` and `on_hold` reach all processes.
    """

    def __init__(
        self,
        run: CampaignRun,
        campaign: Campaign,
        connections: Mapping[str, Connection],
        processes: int,
        slots: Callable[[str], SlotSource[Any]],
        locks: Sequence[int] = (),
    ) -> None:
        """`slots` returns those of a connection; a process opens no session without one."""
        self._run = run
        self._document = campaign.model_dump(mode="json")
        self._processes = processes
        self._loop = asyncio.get_running_loop()
        self.connections = dict(connections)
        self._identities = {name: known.identity for name, known in connections.items()}
        self.tokens: TokenSource = run.tokens
        self.slots = slots
        self._locks = locks
        self._members: dict[Member, Sequence[Part]] = {}
        self._ends: dict[Part, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        run.on_orders = self._on_orders
        run.on_handover_news = self._on_handover_news

    def start(self, names: Sequence[str]) -> None:
        """Start the processes that send over these connections. `result` tells how each ends."""
        sessions = {name: self.connections[name].max_sessions for name in names}
        for parts in laid_out(sessions, min(self._processes, sum(sessions.values()))):
            self._ends |= {part: self._loop.create_future() for part in parts}
            self._spawn(self._supervise(parts))
        if self._ends:
            self._spawn(self._look())

    async def result(self, name: str) -> RouteResult:
        """Wait until no process sends over a connection any more; returns how that ended.

        Raises CampaignError where the connection's processes have died again and again.
        """
        await asyncio.gather(*(end for part, end in self._ends.items() if part.connection == name))
        await asyncio.to_thread(self._run.read_senders)
        return self._run.result(name)

    async def next_in(self) -> float:
        """Seconds until any process has something to do; infinity: never.

        A process that has ended early, and is not replaced yet, may have something to do.
        """
        left = {part for part, end in self._ends.items() if not end.done()}
        if left - {part for parts in self._members.values() for part in parts}:
            return 0.0
        return min((member.next_in for member in self._members), default=0.0)

    def update(self, connection: Connection) -> list[str]:
        """Use a connection's new settings, as `Run.update` does; returns the changes."""
        changed = differences(self.connections[connection.name], connection)
        self.connections[connection.name] = connection
        if changed or connection.warm_up.start:
            for member, parts in self._members.items():
                for part in parts:
                    if part.connection == connection.name:
                        member.tell(Update(self._fitted(part)))
        return changed

    async def close(self) -> None:
        """Wait for the end of the processes; those that still send are told to stop first."""
        self._run.on_orders = self._run.on_handover_news = lambda: None
        for member in self._members:
            member.tell(Stop())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def part_ended(self, part: Part) -> None:
        """Note that a process has sent what it could of its part."""
        if not self._ends[part].done():
            self._ends[part].set_result(None)
            self._spawn(self._settle())  # others may take its recipients over

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _supervise(self, parts: Sequence[Part]) -> None:
        """Have the parts sent by one process after the other, until one reaches their end."""
        names = ", ".join(part.connection for part in parts)
        pauses = iter(_RESTART_SECONDS)
        try:
            while left := [part for part in parts if not self._ends[part].done()]:
                if self._run.is_stopping:
                    return
                began = self._loop.time()
                why = await self._lived(left)
                await self._settle()
                if all(self._ends[part].done() for part in left) or self._run.is_stopping:
                    return
                logger.warning("a process that sends over %s has ended early: %s", names, why)
                if self._loop.time() - began > _HEALTHY_SECONDS:
                    pauses = iter(_RESTART_SECONDS)
                if (pause := next(pauses, None)) is None:
                    raise CampaignError(
                        f"the processes that send over {names} end again and again, the last one"
                        f" because {why}"
                    )
                await asyncio.sleep(pause)
        except Exception as error:  # noqa: BLE001 `result` raises it
            for part in parts:
                if not self._ends[part].done():
                    self._ends[part].set_exception(error)
        finally:
            for part in parts:
                self.part_ended(part)

    async def _lived(self, parts: Sequence[Part]) -> str:
        """Start a process and wait for its end; returns how it ended."""
        begin = Begin(
            self._run.database_url,
            str(self._run.home),
            f"a process of {self._run.record.name}",
            self._document,
            tuple(self._fitted(part) for part in parts),
        )
        member = await Member.started(self, parts, begin, self._locks)
        self._members[member] = parts
        try:
            self._pass_on_orders()
            for part, known in zip(parts, begin.connections, strict=True):
                if (now := self._fitted(part)) != known:  # changed while the process started
                    member.tell(Update(now))
            await member.run()
        finally:
            del self._members[member]
        return member.ended()

    async def _look(self) -> None:
        """Read what the processes have stored of their progress, and settle for dead senders."""
        while not all(end.done() for end in self._ends.values()):
            await asyncio.sleep(_LOOK_SECONDS)
            await self._settle()

    async def _settle(self) -> None:
        """Settle what dead senders had claimed, as soon as the database answers."""
        while True:
            try:
                await asyncio.to_thread(self._run.read_senders)
            except (DatabaseError, OSError, JournalError) as error:
                if self._run.is_stopping:
                    return  # the next run settles
                logger.warning("the search for dead senders failed: %s", type(error).__name__)
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return

    def _on_handover_news(self) -> None:
        self._loop.call_soon_threadsafe(self._pass_on_news)

    def _pass_on_news(self) -> None:
        for member in self._members:
            member.tell(ReadMoves())

    def _on_orders(self) -> None:
        self._loop.call_soon_threadsafe(self._pass_on_orders)

    def _pass_on_orders(self) -> None:
        for member in self._members:
            member.tell(Hold(self._run.on_hold))
            if self._run.is_stopping:
                member.tell(Stop())
                self._loop.call_later(_STOP_SECONDS, member.kill)

    def _fitted(self, part: Part) -> Connection:
        """A part's connection, with its part of the sessions and the identity of this run."""
        connection = self.connections[part.connection]
        return replace(
            connection,
            max_sessions=part.sessions(connection.max_sessions),
            identity=self._identities[part.connection],
        )
