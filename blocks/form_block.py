"""The base of all blocks: a form with plain inputs, and a logo that needs no internet access."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import BlockType
from prefect.settings import PREFECT_UI_URL
from pydantic import GetJsonSchemaHandler, HttpUrl
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from mailsluice.core.forms import form_schema

if TYPE_CHECKING:
    from prefect.blocks.core import Block
else:
    Block = object

_ASSET = "/ico/android-chrome-192x192.png"


class FormBlock(Block):
    """A block whose JSON schema suits forms, and whose logo is the icon of Prefect's UI.

    Prefect accepts only web addresses for logos, not `data:`, and a browser may have no internet
    access. Every Prefect server has this icon. Without a logo the newer UI shows a broken picture.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return form_schema(schema, handler)

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the JSON schema, generated once: Prefect asks for it with each field it stores.

        Each caller gets a copy, and may change it.
        """
        schema: dict[str, Any] = json.loads(_schema(cls, args, tuple(options.items())))
        return schema

    @classmethod
    def _to_block_type(cls) -> BlockType:
        block_type = super()._to_block_type()
        if not (ui_url := PREFECT_UI_URL.value()):
            return block_type
        return block_type.model_copy(update={"logo_url": HttpUrl(ui_url.rstrip("/") + _ASSET)})


@cache
def _schema(
    kind: type[FormBlock], args: tuple[Any, ...], options: tuple[tuple[str, Any], ...]
) -> str:
    """Return the schema of a block type as text, which is copied ten times as fast as a dict."""
    return json.dumps(super(FormBlock, kind).model_json_schema(*args, **dict(options)))
