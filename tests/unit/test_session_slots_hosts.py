"""The sessions of all connections to one host, against limits in memory."""

from __future__ import annotations

import logging
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.support.session_slots.limit_state import HostLimit, LimitState, host_limit, joined
from flows.support.session_slots.notices import Notices
from flows.support.session_slots.sharing import PASS_SECONDS
from mailsluice.smtp.connection import Connection
from tests.unit.slot_server import Clock, FakeLimit, Process, SlotServer, Stream, pass_time

HOST = HostLimit("relay.example.com", 3)


class FakePair(FakeLimit):
    """A client that needs slots of a connection's and of a host's limit for each lease."""

    def __init__(self, server: SlotServer, host_server: SlotServer, host: HostLimit = HOST) -> None:
        super().__init__(server)
        self.host = host
        self.names = ["smtp-red", host.name]
        self._host_server = FakeLimit(host_server)
        self._active = host_server
        self._pairs: dict[UUID, UUID] = {}

    async def read(self, max_sessions: int) -> LimitState:
        states = [await super().read(max_sessions)]
        if self.host:
            states.append(await self._host_server.read(self.host.sessions))
        return joined(states)

    async def acquire(self, slots: int) -> UUID | None:
        lease = await super().acquire(slots)
        if lease and not self._active.is_active:
            return lease
        other = await self._host_server.acquire(slots) if lease else None
        if lease and other:
            self._pairs[lease] = other
            return lease
        if lease:
            await super().release(lease)
        return None

    async def release(self, lease: UUID) -> None:
        await super().release(lease)
        if other := self._pairs.pop(lease, None):
            await self._host_server.release(other)

    async def clear(self) -> None:
        await super().clear()
        await self._host_server.clear()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host_server() -> SlotServer:
    return SlotServer()


def connections(
    clock: Clock, host_server: SlotServer, stream: Stream | None = None
) -> list[Process]:
    """Return the processes of two connections with four sessions each, to the same host."""
    pairs = [FakePair(SlotServer(), host_server) for _ in range(2)]
    return [Process(SlotServer(), clock, 4, stream, limit=pair) for pair in pairs]


@pytest.mark.parametrize("has_events", [False, True])
async def test_two_connections_to_a_host_share_its_sessions(
    clock: Clock, host_server: SlotServer, has_events: bool
) -> None:
    red, green = connections(clock, host_server, Stream() if has_events else None)
    await red.want(4)
    await red.settle()
    assert (len(red.open), host_server.limit, host_server.taken) == (3, 3, 3)
    await green.want(4)
    await pass_time(clock, 200, red, green)
    assert len(red.open) + len(green.open) == host_server.taken == 3
    assert red.open
    assert green.open


async def test_a_slot_is_passed_on_to_the_other_connection_at_once(
    clock: Clock, host_server: SlotServer
) -> None:
    red, green = connections(clock, host_server, Stream())
    await red.want(4)
    await red.settle()
    await green.want(1)
    await pass_time(clock, PASS_SECONDS, red, green)
    assert len(green.open) == 1


async def test_a_deactivated_host_limit_no_longer_binds_and_binds_again(
    clock: Clock, host_server: SlotServer
) -> None:
    red, _ = connections(clock, host_server)
    host_server.limit = 2
    await red.want(4)
    await red.settle()
    assert (len(red.open), host_server.taken) == (2, 2)
    host_server.is_active = False
    await pass_time(clock, 10, red)
    assert (len(red.open), host_server.taken) == (3, 0)  # the block's own number
    host_server.is_active = True
    await pass_time(clock, 10, red)
    assert (len(red.open), host_server.taken) == (2, 2)


async def test_a_changed_block_counts_under_the_limit_of_its_host(clock: Clock) -> None:
    red = Process(SlotServer(), clock, 4)
    await red.want(4)
    await red.settle()
    red.keeper.resize(4, HostLimit("relay.example.com", 2))
    await red.settle()
    assert red.end_recalled() == 2


def state(limit: int, taken: int, *, is_active: bool = True, name: str = "") -> LimitState:
    return LimitState(uuid4(), limit, taken, is_active, name=name)


sizes = st.builds(state, st.integers(0, 20), st.integers(0, 30), is_active=st.booleans())


@given(st.lists(sizes, min_size=2, max_size=2))
def test_joined_limits_have_the_room_that_each_active_one_has(states: list[LimitState]) -> None:
    both, active = joined(states), [one for one in states if one.is_active]
    assert both.is_active == bool(active)
    if active:
        assert both.limit == min(one.limit for one in active)
        assert both.limit - both.taken == min(one.limit - one.taken for one in active)


def test_a_full_host_is_named_in_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    both = joined([state(4, 1, name="smtp-red"), state(6, 6, name="smtp-host-relay")])
    Notices("red", logging.getLogger("slots")).starving(both)
    assert "all 6 of limit smtp-host-relay are taken" in caplog.text


def test_hosts_are_compared_without_case_and_final_dot() -> None:
    block = Connection("red", "Relay.Example.com.", 25, max_sessions_per_host=3)
    assert host_limit(block) == HOST
    assert HOST.name == "smtp-host-relay.example.com"
    assert host_limit(Connection("red", "relay.example.com", 25)) is None
