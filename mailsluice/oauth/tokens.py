"""The access tokens of a run: one for each connection or mailbox, shared by its sessions.

One session asks the token server, and the others wait for the same answer, even if it is a failure.
A refresh token that appears in the block is used when the next access token is due, not at once.
Otherwise two processes, each saving a new token, would make each other ask again and again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr

from mailsluice.oauth.client import OAuth, OAuthLogin
from mailsluice.oauth.request import ask
from mailsluice.oauth.trouble import TokenError

_MARGIN_SECONDS = 300.0

OnRotated = Callable[[str, SecretStr, SecretStr], None]
"""Called with the login's name, the used refresh token, and the one that replaces it."""


def fresh_seconds(lifetime_seconds: float) -> float:
    """Return how long a token is used: until five minutes before its end, or half a short life."""
    return max(lifetime_seconds - _MARGIN_SECONDS, lifetime_seconds / 2)


class TokenSource(Protocol):
    """A source of access tokens for sessions."""

    async def token(self, login: OAuthLogin, refused: str | None = None) -> str:
        """Return an access token that is valid for some time, other than `refused`.

        Raises TokenError if the token server issues none.
        """


class Tokens:
    """The access tokens of all logins.

    All calls for one login come from one event loop, or one after the other.
    """

    def __init__(
        self, on_rotated: OnRotated | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on_rotated = on_rotated
        self._clock = clock
        self._sources: dict[tuple[str, OAuth], _Source] = {}

    async def token(self, login: OAuthLogin, refused: str | None = None) -> str:
        """See `TokenSource.token`."""
        key = login.name, login.oauth.client
        source = self._sources.get(key)
        if source is None:
            source = self._sources[key] = _Source(self._clock)
        source.adopt(login.oauth.refresh_token)
        return await source.token(login, refused, self.on_rotated)


class _Source:
    """The tokens of a client at a provider.

    There is one exchange at a time, for which other sessions wait. The session that begins an
    exchange also ends it, so none is left when a run ends. If that session is cut off, a refresh
    token that arrives later is lost; Google and Microsoft still accept the one before.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._access: str | None = None
        self._fresh_until = -math.inf
        self._refresh: SecretStr | None = None
        self._known: set[SecretStr] = set()
        self._exchanges = 0
        self._failure: TokenError | None = None

    def adopt(self, refresh_token: SecretStr | None) -> None:
        """Use a refresh token from the block for the next exchange, unless it was known before.

        A known token is not new: blocks are read late, and may not have been written at all.
        """
        if refresh_token is not None and refresh_token not in self._known:
            self._known.add(refresh_token)
            self._refresh = refresh_token

    async def token(
        self, login: OAuthLogin, refused: str | None, on_rotated: OnRotated | None
    ) -> str:
        seen = self._exchanges
        async with self._lock:
            has_waited = self._exchanges > seen
            if has_waited and self._failure:
                raise TokenError(self._failure.attempt)
            is_fresh = has_waited or self._clock() < self._fresh_until
            if is_fresh and self._access is not None and self._access != refused:
                return self._access
            return await self._exchange(login, on_rotated)

    async def _exchange(self, login: OAuthLogin, on_rotated: OnRotated | None) -> str:
        used = self._refresh
        oauth = login.oauth.model_copy(update={"refresh_token": used})
        asked_at, self._failure = self._clock(), None
        try:
            grant = await ask(oauth, login)
        except TokenError as error:
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
                on_rotated(login.name, used, new)
        return grant.access_token
