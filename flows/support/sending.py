"""A campaign that this process sends, and the subflow that sends over one of its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import flow, tags
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.support.session_slots import SessionSlots
from flows.support.session_slots.sharing import sessions_of
from flows.support.stopping import STOPPED, StopRequest, wait_for_server
from flows.support.tags import tags_of
from mailsluice.delivery import RouteResult, Run
from mailsluice.message import CompiledMessage
from mailsluice.operations.processes import Processes
from mailsluice.smtp.connection import Connection

ConnectionSubflow = Callable[[str, str], Awaitable[State[Any]]]
"""Sends over a connection, given the names of the campaign and of the connection."""


@dataclass(frozen=True, slots=True)
class Sending:
    """Everything that sending over the connections of a campaign on this machine needs."""

    run: Run
    messages: Mapping[str, CompiledMessage]
    """By connection; connections with equal identities share one."""
    connections: dict[str, Connection]
    slots: dict[str, SessionSlots]
    stop_request: StopRequest
    shards: int = 1
    """How many processes share each connection's sessions."""
    waiting: dict[str, int] = field(default_factory=dict)
    """How many recipients are left to send to, by connection; none where all share a pool."""
    standbys: Collection[str] = ()
    """The connections that get recipients only when another one is down."""
    processes: Processes | None = None
    """The processes that send; None where this one does."""

    def fitted(self, connection: Connection) -> Connection:
        """A connection with this process's part of its sessions."""
        return replace(connection, max_sessions=sessions_of(connection.max_sessions, self.shards))

    async def send(self, connection: str) -> RouteResult:
        """Send to the recipients of one connection, until none is left or the run stops."""
        if self.processes:
            return await self.processes.result(connection)
        return await self.run.send(
            self.fitted(self.connections[connection]),
            self.messages[connection],
            open_session=self.slots[connection].open,
        )

    async def update(self, connection: Connection) -> list[str]:
        """Use a connection's new settings from now on; returns the changes, for the log."""
        self.connections[connection.name] = connection
        self.slots[connection.name].update(connection)
        if self.processes:
            return self.processes.update(connection)
        return await self.run.update(self.fitted(connection))

    async def is_unused(self, connection: str) -> bool:
        """Whether a connection is a standby that has taken nobody over."""
        standings = (await self.run.progress()).standings if connection in self.standbys else ()
        return any(
            standing.connection == connection and not standing.tally.assigned
            for standing in standings
        )

    async def next_in(self) -> float:
        """Seconds until any connection has something to do; infinity: never."""
        return await (self.processes or self.run).next_in()


def connection_subflow(sending: Sending) -> ConnectionSubflow:
    """Make the subflow that sends over one connection in the process of the campaign's run."""

    def run_name() -> str:
        parameters = flow_run.get_parameters()
        campaign, connection = parameters["campaign"], parameters["connection"]
        if connection not in sending.waiting:
            return f"Send over {connection}: {campaign}"
        recipients = sending.waiting[connection]
        if connection in sending.standbys and not recipients:
            return f"Send over {connection}: standby for {campaign}"
        return f"Send over {connection}: {recipients:,} recipients of {campaign}"

    @flow(name="send-connection", flow_run_name=run_name, persist_result=False)
    async def send_over_connection(campaign: str, connection: str) -> State[Any]:  # noqa: ARG001
        sending.stop_request.handle_signals()
        result = await sending.send(connection)
        await wait_for_server(sending.stop_request.events)
        if result.down:
            message = f"{connection} is down, {result.summary()}: {result.down}"
            return Failed(message=message)
        if reason := sending.stop_request.reason:
            return Cancelled(name=STOPPED, message=f"{reason.value}, {result.summary()}")
        if await sending.is_unused(connection):
            return Completed(message="standby, not needed")
        return Completed(message=result.summary())

    async def start(campaign: str, connection: str) -> State[Any]:
        with tags(*tags_of(campaign, [connection])):
            return await send_over_connection(campaign, connection, return_state=True)

    return start
