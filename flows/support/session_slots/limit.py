"""The slots of one connection in Prefect: global concurrency limits, and leases of their slots.

A lease holds slots of the connection's limit, and as many of its host's where the block has a
limit for the host: Prefect grants both or none.

Prefect's own `concurrency()` needs a thread and a client for each lease; here the client of the run
serves all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.context import SettingsContext, get_settings_context
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.support.session_slots.lease_file import LeaseFile, take_over
from flows.support.session_slots.limit_state import HostLimit, LimitState, joined, limit_name
from mailsluice.core.errors import MailsluiceError

LEASE_SECONDS = 90.0
"""A lease that is not renewed expires after so long, and is released by the server up to 15 seconds
later. So the slots of a lost machine are free after 105 seconds at most: about when Prefect starts
its runs again, after three missing heartbeats."""
LIMIT_KIND = "prefect.concurrency-limit."
"""The beginning of a limit's id in Prefect's events."""
_TIMEOUT_SECONDS = 10.0
_LOCKED, _MORE_THAN_THE_LIMIT, _GONE = 423, 422, 410


class SlotsUnavailableError(MailsluiceError):
    """The Prefect server does not answer about slots."""


class SlotLimit:
    """The limit `smtp-<connection>`, and `smtp-host-<host>` where the block has one for its host.

    Every call raises SlotsUnavailableError where the server does not answer. Leases are written to
    disk while they are held, so that the next process on this machine can release those of a killed
    process.
    """

    def __init__(self, connection: str, host: HostLimit | None = None) -> None:
        self.name = limit_name(connection)
        self.host = host
        """The limit of the connection's host, which may change."""
        self._inactive: list[str] = []
        self._clients = AsyncExitStack()
        self._connected: PrefectClient | None = None
        self._file = LeaseFile()

    @property
    def lock(self) -> int | None:
        """See `LeaseFile.descriptor`."""
        return self._file.descriptor

    @property
    def names(self) -> list[str]:
        """The limits of which each lease holds slots."""
        return [self.name, *([self.host.name] if self.host else [])]

    async def read(self, max_sessions: int) -> LimitState:
        """Read the limit; where there is none, create it with so many slots.

        The host's limit is created in the same way, and lowered to this connection's number where
        it is higher: of several connections to a host, the lowest number binds.
        """
        async with self._answering():
            client = await self._client()
            states = [await self._read(client, self.name, max_sessions)]
            if self.host:
                state = await self._read(client, self.host.name, self.host.sessions)
                states.append(await self._lowered(client, state, self.host.sessions))
            self._inactive = [state.name for state in states if not state.is_active]
            return joined(states)

    async def _read(self, client: PrefectClient, name: str, slots: int) -> LimitState:
        try:
            limit = await client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            limit = await self._created(client, name, slots)
        taken, is_active = limit.active_slots, limit.active
        return LimitState(limit.id, limit.limit, taken, is_active, limit.updated, name)

    async def _created(
        self, client: PrefectClient, name: str, slots: int
    ) -> GlobalConcurrencyLimitResponse:
        limit = GlobalConcurrencyLimitCreate(name=name, limit=slots)
        with suppress(ObjectAlreadyExists):  # by another process, just now
            await client.create_global_concurrency_limit(limit)
        return await client.read_global_concurrency_limit_by_name(name)

    async def _lowered(self, client: PrefectClient, state: LimitState, slots: int) -> LimitState:
        if not state.is_active or state.limit <= slots:
            return state
        lower = GlobalConcurrencyLimitUpdate(limit=slots)
        await client.update_global_concurrency_limit(state.name, lower)
        return replace(state, limit=slots)

    async def acquire(self, slots: int, seconds: float = LEASE_SECONDS) -> UUID | None:
        """Acquire so many slots for so long; returns their lease, None where too few are free."""
        async with self._answering():
            client = await self._client()
            try:
                reply = await client.increment_concurrency_slots_with_lease(
                    self.names, slots, "concurrency", seconds
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code in {_LOCKED, _MORE_THAN_THE_LIMIT}:
                    return None
                raise
            acquired = reply.json()
        lease = UUID(acquired["lease_id"])
        self._file.add(str(client.api_url), lease)
        if len(acquired["limits"]) < len(self.names):
            await self.release(lease)  # a limit was just deleted; the next `read` creates it
            return None
        return lease

    async def renew(self, lease: UUID) -> bool:
        """Hold a lease for another LEASE_SECONDS; False where the lease is lost."""
        async with self._answering():
            try:
                await (await self._client()).renew_concurrency_lease(lease, LEASE_SECONDS)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == _GONE:
                    return False
                raise
        return True

    async def release(self, lease: UUID) -> None:
        """Release a lease's slots. To release a lost lease, or one twice, changes nothing."""
        async with self._answering():
            await (await self._client()).release_concurrency_slots_with_lease(lease)
        self._file.remove(lease)

    async def clear(self) -> None:
        """Set the taken slots of deactivated limits to none.

        Prefect counts no release while a limit is deactivated, so the slots would stay taken for
        ever once it is activated again.
        """
        async with self._answering():
            nothing = GlobalConcurrencyLimitUpdate(active_slots=0)
            for name in self._inactive:
                await (await self._client()).update_global_concurrency_limit(name, nothing)

    async def release_stale(self) -> None:
        """Release the leases of killed processes of this machine, for any connection."""
        async with self._answering():
            client = await self._client()
            for leases in take_over(str(client.api_url)):
                for lease in leases:
                    await client.release_concurrency_slots_with_lease(lease)

    async def close(self) -> None:
        """Close the client. Leases that are still held expire."""
        self._file.close()
        await self._clients.aclose()

    async def _client(self) -> PrefectClient:
        if self._connected is None:
            self._connected = await self._clients.enter_async_context(get_client())
        return self._connected

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            with _settings_to_ask_once():
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    yield
        except httpx.HTTPStatusError as error:
            reply = error.response
            raise SlotsUnavailableError(f"{reply.status_code} {reply.reason_phrase}") from error
        except Exception as error:
            # The client may raise other errors, too; none of them may end a campaign.
            raise SlotsUnavailableError(str(error) or type(error).__name__) from error


def _settings_to_ask_once() -> SettingsContext:
    """Settings with which Prefect's client does not retry a request.

    The client waits for two seconds and more when its server is busy for milliseconds; the keeper
    retries by itself. The settings apply to the slots' calls alone, not to other calls in the same
    context. Copies take 0.1 ms; Prefect's `temporary_settings`, which reads all settings anew, 30.
    """
    context = get_settings_context()
    client = context.settings.client.model_copy(update={"max_retries": 0})
    settings = context.settings.model_copy(update={"client": client})
    return SettingsContext(profile=context.profile, settings=settings)
