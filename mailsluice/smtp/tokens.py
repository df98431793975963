"""The access tokens of a run: one for each connection, shared by its sessions.

One session asks the token server; the others wait for the same answer, a failure included. A
refresh token that appears in the block is used when the next access token is due, not at once:
otherwise two processes that save each other's new tokens would chase each other.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from pydantic import SecretStr

from mailsluice.smtp.connection import Connection
from mailsluice.smtp.oauth import OAuth
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.token_request import ask

_MARGIN_SECONDS = 300.0

OnRotated = Callable[[str, SecretStr, SecretStr], None]
"""Told the connection's name, the refresh token that was used, and the one to use from now on."""


def fresh_seconds(lifetime_seconds: float) -> float:
    """For how long a token is used: up to five minutes before its end, or half of a short life."""
    return max(lifetime_seconds - _MARGIN_SECONDS, lifetime_seconds / 2)


class Tokens:
    """Gives sessions their access tokens. All on one loop."""

    def __init__(
        self, on_rotated: OnRotated | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on_rotated = on_rotated
        self._clock = clock
        self._sources: dict[tuple[str, OAuth], _Source] = {}

    async def token(self, connection: Connection, refused: str | None = None) -> str:
        """An access token that holds for some time yet; another one than `refused`.

        Raises SessionError where the token server gives none.
        """
        key = connection.name, connection.oauth.client
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = _Source(self._clock)
        source.adopt(connection.oauth.refresh_token)
        return await source.token(connection, refused, self.on_rotated)


class _Source:
    """The tokens of one client at one provider. One exchange at a time: others wait for it.

    The session that began an exchange also ends it, so none is left over when a run ends. Where it
    is cut off, a refresh token that came too late is lost; Google and Microsoft go on taking the
    one before.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._access: str | None = None
        self._fresh_until = -math.inf
        self._refresh: SecretStr | None = None
        self._known: set[SecretStr] = set()
        self._exchanges = 0
        self._failure: SessionError | None = None

    def adopt(self, refresh_token: SecretStr | None) -> None:
        """Use a refresh token that was put into the block, the next time one is needed.

        One that was used before is no news: blocks are read late, and may not be written at all.
        """
        if refresh_token is not None and refresh_token not in self._known:
            self._known.add(refresh_token)
            self._refresh = refresh_token

    async def token(
        self, connection: Connection, refused: str | None, on_rotated: OnRotated | None
    ) -> str:
        seen = self._exchanges
        async with self._lock:
            has_waited = self._exchanges > seen
            if has_waited and self._failure:
                raise SessionError(self._failure.attempt)
            is_fresh = has_waited or self._clock() < self._fresh_until
            if is_fresh and self._access is not None and self._access != refused:
                return self._access
            return await self._exchange(connection, on_rotated)

    async def _exchange(self, connection: Connection, on_rotated: OnRotated | None) -> str:
        used = self._refresh
        oauth = connection.oauth.model_copy(update={"refresh_token": used})
        asked_at, self._failure = self._clock(), None
        try:
            grant = await ask(oauth, connection)
        except SessionError as error:
            self._failure = error
            raise
        finally:
            self._exchanges += 1
        self._access = grant.access_token
        self._fresh_until = asked_at + fresh_seconds(grant.seconds)
        if grant.refresh_token and used:
            new = SecretStr(grant.refresh_token)
            self._known.add(new)
            self._refresh = new
            if on_rotated:
                on_rotated(connection.name, used, new)
        return grant.access_token
