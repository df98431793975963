"""The base of blocks whose logins may use OAuth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks.form_block import FormBlock

if TYPE_CHECKING:
    from mailsluice.oauth.client import OAuth


class OAuthBlock(FormBlock):
    """A block whose form has an OAuth box, the field `oauth`."""

    if TYPE_CHECKING:
        oauth: OAuth

    async def keep_refresh_token(self, token: SecretStr) -> None:
        """Store a new refresh token in this block, which must have been loaded or saved before."""
        self.oauth = self.oauth.model_copy(update={"refresh_token": token})
        await self.asave(overwrite=True)
