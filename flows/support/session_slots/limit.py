"""The slots of one connection in Prefect: a global concurrency limit, and a lease a slot.

Prefect's own `concurrency()` renews by a thread a slot and asks for each slot on its own; here one
client a connection does both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
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
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.support.session_slots.lease_file import LeaseFile, take_over
from mailsluice.core.errors import MailsluiceError

LEASE_SECONDS = 60.0
"""A slot whose holder gives no sign of life is free again after so long, and the server's round of
15 seconds. Prefect takes no less."""
_TIMEOUT_SECONDS = 10.0
_LOCKED, _MORE_THAN_THE_LIMIT, _GONE = 423, 422, 410


def limit_name(connection: str) -> str:
    """The name of a connection's limit, as Prefect's UI shows it."""
    return f"smtp-{connection}"


class SlotsUnavailableError(MailsluiceError):
    """The Prefect server gives no answer about slots."""


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where a limit stands, over all processes."""

    id: UUID
    limit: int
    taken: int
    is_active: bool = True

    @property
    def is_full(self) -> bool:
        return self.taken >= self.limit


class SlotLimit:
    """The limit `smtp-<connection>`. Every call raises SlotsUnavailableError where none answers.

    All calls on one loop. Leases are noted on disk while they are held, so that the next process of
    this machine can release those of a killed one.
    """

    def __init__(self, connection: str) -> None:
        self.name = limit_name(connection)
        self._clients = AsyncExitStack()
        self._connected: PrefectClient | None = None
        self._asking_once: SettingsContext | None = None
        self._file = LeaseFile()

    async def standing(self, max_sessions: int) -> LimitState:
        """Read the limit; where there is none, create it with so many slots."""
        with self._answering():
            client = await self._client()
            try:
                found = await client.read_global_concurrency_limit_by_name(self.name)
            except ObjectNotFound:
                found = await self._created(client, max_sessions)
            return LimitState(found.id, found.limit, found.active_slots, found.active)

    async def _created(
        self, client: PrefectClient, max_sessions: int
    ) -> GlobalConcurrencyLimitResponse:
        limit = GlobalConcurrencyLimitCreate(name=self.name, limit=max_sessions)
        with suppress(ObjectAlreadyExists):  # by another process, just now
            await client.create_global_concurrency_limit(limit)
        return await client.read_global_concurrency_limit_by_name(self.name)

    async def acquire(self, seconds: float = LEASE_SECONDS) -> UUID | None:
        """Take one slot for so long; gives its lease, None where none is free."""
        with self._answering():
            client = await self._client()
            try:
                reply = await client.increment_concurrency_slots_with_lease(
                    [self.name], 1, "concurrency", seconds
                )
            except httpx.HTTPStatusError as error:
                if error.response.status_code in {_LOCKED, _MORE_THAN_THE_LIMIT}:
                    return None
                raise
            found = reply.json()
        if not found["limits"]:  # deleted just now: the next look makes it anew
            return None
        lease = UUID(found["lease_id"])
        self._file.add(str(client.api_url), lease)
        return lease

    async def renew(self, lease: UUID) -> bool:
        """Hold a slot for another LEASE_SECONDS; False where the lease is lost."""
        with self._answering():
            try:
                await (await self._client()).renew_concurrency_lease(lease, LEASE_SECONDS)
            except httpx.HTTPStatusError as error:
                if error.response.status_code == _GONE:
                    return False
                raise
        return True

    async def release(self, lease: UUID) -> None:
        """Give a slot back. Releasing one that is lost, or twice, changes nothing."""
        with self._answering():
            await (await self._client()).release_concurrency_slots_with_lease(lease)
        self._file.remove(lease)

    async def clear(self) -> None:
        """Set a deactivated limit to nothing taken.

        While it is deactivated Prefect counts no release: activated again, its slots would stay
        taken for ever.
        """
        with self._answering():
            nothing = GlobalConcurrencyLimitUpdate(active_slots=0)
            await (await self._client()).update_global_concurrency_limit(self.name, nothing)

    async def release_of_the_dead(self) -> None:
        """Release what killed processes of this machine held, of any connection."""
        with self._answering():
            client = await self._client()
            for leases in take_over(str(client.api_url)):
                for lease in leases:
                    await client.release_concurrency_slots_with_lease(lease)

    async def close(self) -> None:
        """End the client. Leases that are still held expire."""
        self._file.close()
        await self._clients.aclose()

    async def _client(self) -> PrefectClient:
        if self._connected is None:
            client = get_client(httpx_settings={"timeout": _TIMEOUT_SECONDS})
            self._connected = await self._clients.enter_async_context(client)
        return self._connected

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if self._asking_once is None:
            self._asking_once = _settings_to_ask_once()
        try:
            with self._asking_once.model_copy():
                yield
        except httpx.HTTPStatusError as error:
            reply = error.response
            raise SlotsUnavailableError(f"{reply.status_code} {reply.reason_phrase}") from error
        except Exception as error:
            # Whatever else its client raises: a campaign does not end for that.
            raise SlotsUnavailableError(str(error) or type(error).__name__) from error


def _settings_to_ask_once() -> SettingsContext:
    """Settings with which Prefect's client does not try a request again.

    The client waits for two seconds and more when its server is busy for milliseconds; the keeper
    asks again by itself. The settings hold for the slots' calls alone: others in the same context
    keep the client's patience. Prefect takes some 20 ms to make them, so a limit keeps its own.
    """
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        return get_settings_context()
