"""Blocks on the Prefect server of a test."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

_documents: dict[tuple[str | None, type[Block], str], UUID] = {}
"""The documents that were saved before, by server, type and name."""


def save(block: Block, name: str) -> UUID:
    """Save a block under a name, in place of what is there; returns the document's id.

    The first time as everybody does, which registers the block's type and schema as well; then by
    one request. Waits for it, also where an event loop runs, as
    in asynchronous tests and beside Playwright.
    """
    key = (PREFECT_API_URL.value(), type(block), name)
    if key in _documents:
        with suppress(ObjectNotFound):  # it was deleted meanwhile
            _replace(_documents[key], block)
            return _documents[key]
    document = block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    assert isinstance(document, UUID)
    _documents[key] = document
    return document


def _replace(document: UUID, block: Block) -> None:
    changed = BlockDocumentUpdate(data=_data(block), merge_existing_data=False)
    _client(PREFECT_API_URL.value()).update_block_document(document, changed)


@cache
def _client(_: str | None) -> SyncPrefectClient:
    """Give the client for a server, kept open: a new one costs two requests and 20 ms."""
    return get_client(sync_client=True).__enter__()


def _data(block: Block) -> dict[str, Any]:
    """Give a block's fields with its secrets."""
    return block.model_dump(
        mode="json", by_alias=True, exclude={"block_type_slug"}, context={"include_secrets": True}
    )


def remove(kind: type[Block], name: str) -> None:
    """Delete the block of this name, if there is one."""
    with suppress(ValueError):  # there is none
        kind.delete(name, _sync=True)  # type: ignore[call-arg]
