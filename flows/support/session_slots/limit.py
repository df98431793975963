"""The slots of one connection in Prefect: a global concurrency limit, and leases of its slots.

Prefect's own `concurrency()` needs a thread and a client for each lease; here the client of the run
serves all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
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
from mailsluice.core.errors import MailsluiceError

LEASE_SECONDS = 90.0
"""A lease that is not renewed expires after so long, and is released by the server up to 15 seconds
later. So the slots of a lost machine are free after 105 seconds at most: about when Prefect starts
its runs again, after three missing heartbeats."""
LIMIT_KIND = "prefect.concurrency-limit."
"""The beginning of a limit's id in Prefect's events."""
_TIMEOUT_SECONDS = 10.0
_LOCKED, _MORE_THAN_THE_LIMIT, _GONE = 423, 422, 410


def limit_name(connection: str) -> str:
    """The name of a connection's limit, as Prefect's UI shows it."""
    return f"smtp-{connection}"


class SlotsUnavailableError(MailsluiceError):
    """The Prefect server does not answer about slots."""


@dataclass(frozen=True, slots=True)
class LimitState:
    """The state of a limit, over all processes."""

    id: UUID
    limit: int
    taken: int
    is_active: bool = True
    updated: datetime | None = None
    """When the limit or its slots changed last, by the server's clock."""

    @property
    def is_full(self) -> bool:
        return self.taken >= self.limit


class SlotLimit:
    """The limit `smtp-<connection>`.

    Every call raises SlotsUnavailableError where the server does not answer. Leases are written to
    disk while they are held, so that the next process on this machine can release those of a killed
    process.
    """

    def __init__(self, connection: str) -> None:
        self.name = limit_name(connection)
        self._clients = AsyncExitStack()
        self._connected: PrefectClient | None = None
        self._file = LeaseFile()

    @property
    def lock(self) -> int | None:
        """See `LeaseFile.descriptor`."""
        return self._file.descriptor

    async def read(self, max_sessions: int) -> LimitState:
        """Read the limit; where there is none, create it with so many slots."""
        async with self._answering():
            client = await self._client()
            try:
                limit = await client.read_global_concurrency_limit_by_name(self.name)
            except ObjectNotFound:
                limit = await self._created(client, max_sessions)
            taken, is_active = limit.active_slots, limit.active
            return LimitState(limit.id, limit.limit, taken, is_active, limit.updated)

    async def _created(
        self, client: PrefectClient, max_sessions: int
    ) -> GlobalConcurrencyLimitResponse:
        limit = GlobalConcurrencyLimitCreate(name=self.name, limit=max_sessions)
        with suppress(ObjectAlreadyExists):  # by another process, just now
            await client.create_global_concurrency_limit(limit)
        return await client.read_global_concurrency_limit_by_name(self.name)

    async def acquire(self, slots: int, seconds: float = LEASE_SECONDS) -> UUID | None:
        """Acquire so many slots for so long; returns their lease, None where too few are free."""
        async with self._answering():
            client = await self._client()
            try:
                reply = await client.increment_concurrency_slots_with_lease(
                    [self.name], slots, "concurrency", seconds
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code in {_LOCKED, _MORE_THAN_THE_LIMIT}:
                    return None
                raise
            acquired = reply.json()
        if not acquired["limits"]:  # the limit was just deleted; the next `read` creates it
            return None
        lease = UUID(acquired["lease_id"])
        self._file.add(str(client.api_url), lease)
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
        """Set the taken slots of a deactivated limit to none.

        Prefect counts no release while a limit is deactivated, so the slots would stay taken for
        ever once it is activated again.
        """
        async with self._answering():
            nothing = GlobalConcurrencyLimitUpdate(active_slots=0)
            await (await self._client()).update_global_concurrency_limit(self.name, nothing)

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
