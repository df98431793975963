"""A logo for blocks that the UI shows without the internet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.schemas.objects import BlockType
from prefect.settings import PREFECT_UI_URL
from pydantic import HttpUrl

if TYPE_CHECKING:
    from prefect.blocks.core import Block
else:
    Block = object

_ASSET = "/ico/android-chrome-192x192.png"


class ServedLogo(Block):
    """Gives a block type the UI's own icon as its logo.

    Prefect takes web addresses alone (no `data:`), and a UI may have no way to the internet: so it
    is a picture that every Prefect server has. Without a logo the newer UI shows a broken picture.
    """

    @classmethod
    def _to_block_type(cls) -> BlockType:
        found = super()._to_block_type()
        if not (ui_url := PREFECT_UI_URL.value()):
            return found
        return found.model_copy(update={"logo_url": HttpUrl(ui_url.rstrip("/") + _ASSET)})
