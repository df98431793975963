"""A logo for block types that the UI shows without internet access."""

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
    """Gives a block type the icon of Prefect's UI as its logo.

    Prefect accepts only web addresses for logos, not `data:`, and a UI may have no internet access.
    Every Prefect server has this icon. Without a logo the newer UI shows a broken picture.
    """

    @classmethod
    def _to_block_type(cls) -> BlockType:
        block_type = super()._to_block_type()
        if not (ui_url := PREFECT_UI_URL.value()):
            return block_type
        return block_type.model_copy(update={"logo_url": HttpUrl(ui_url.rstrip("/") + _ASSET)})
