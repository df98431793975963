"""Save the refresh tokens that providers replace at each use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from blocks.loading import load_login_block
from flows.support.session_slots.notices import Logger
from mailsluice.oauth.tokens import Tokens

_CLOSE_SECONDS = 30.0  # the client asks a busy server again for about so long


class _Keeper:
    """Saves new refresh tokens in the blocks, one after the other."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._used: dict[str, set[SecretStr]] = {}
        self._turn = asyncio.Lock()

    async def keep(self, name: str, used: SecretStr, new: SecretStr) -> None:
        """Replace the token in the block, unless the block was changed meanwhile."""
        async with self._turn:
            self._used.setdefault(name, set()).add(used)
            try:
                block = await load_login_block(name)
                if block.oauth.refresh_token in self._used[name]:
                    await block.keep_refresh_token(new)
            except Exception as error:  # noqa: BLE001 whatever it is, the run goes on
                self._logger.warning(
                    "block %s: the provider gave a new refresh token, which could not be saved in"
                    " the block (%s)",
                    name,
                    type(error).__name__,  # the error's text may contain the token
                )


@asynccontextmanager
async def keep_rotated_tokens(tokens: Tokens, logger: Logger) -> AsyncIterator[None]:
    """Save each new refresh token into its block while the `with` block runs."""
    loop, keeper = asyncio.get_running_loop(), _Keeper(logger)
    saving: set[asyncio.Task[None]] = set()

    def save(name: str, used: SecretStr, new: SecretStr) -> None:
        saving.add(loop.create_task(keeper.keep(name, used, new)))

    def on_rotated(name: str, used: SecretStr, new: SecretStr) -> None:
        loop.call_soon_threadsafe(save, name, used, new)  # called on the engine's loop, perhaps

    tokens.on_rotated = on_rotated
    try:
        yield
    finally:
        if saving:
            await asyncio.wait(saving, timeout=_CLOSE_SECONDS)
