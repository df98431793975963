"""Checking Mailsluice's blocks before the server stores them.

Prefect's server stores whatever the UI sends. Without this check, only the campaign that uses a
connection would notice that it has no host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.blocks.core import Block
from prefect.logging import get_logger
from prefect.server import models, schemas
from prefect.utilities.collections import dict_to_flatdict, flatdict_to_dict
from prefect.utilities.names import obfuscate
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from blocks import ListStorage, Mailbox, SMTPConnection
from mailsluice.core.forms import in_words

_logger = get_logger("server.blocks")
_CHECKED = (SMTPConnection, Mailbox, ListStorage)


def refuse_wrong(block_type: type[Block], data: Mapping[str, Any]) -> None:
    """Raise ValueError, in words for the operator, when the data does not make a valid block.

    Data with a Prefect variable (`{{ prefect.variables.host }}`) is accepted unchecked.
    """
    if "{{" in str(data):
        return
    try:
        block_type.model_validate(dict(data))
    except ValidationError as error:
        words = f"this {block_type.get_block_type_name()} is not saved: {in_words(error)}"
        _logger.warning("%s", words)  # the newer UI does not show the response
        raise ValueError(words) from None


def with_stored_secrets(data: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the asterisks that the UI shows, and returns, for secrets by what is stored.

    Prefect does the same when it stores the data, after the check.
    """
    before: dict[tuple[Any, ...], Any] = dict_to_flatdict(dict(stored))
    given: dict[tuple[Any, ...], Any] = dict_to_flatdict(dict(data))
    for path, value in given.items():
        if path in before and value == obfuscate(before[path]):
            given[path] = before[path]
    kept: dict[str, Any] = flatdict_to_dict(given)
    return kept


def check_blocks() -> None:
    """Make this process's Prefect server refuse invalid blocks with status 400."""
    documents: Any = models.block_documents
    store, change = documents.create_block_document, documents.update_block_document

    async def create(
        session: AsyncSession, block_document: schemas.actions.BlockDocumentCreate
    ) -> Any:
        if checked := await _checked_type(session, block_document.block_type_id):
            refuse_wrong(checked, block_document.data)
        return await store(session=session, block_document=block_document)

    async def update(
        session: AsyncSession,
        block_document_id: UUID,
        block_document: schemas.actions.BlockDocumentUpdate,
    ) -> bool:
        known = await documents.read_block_document_by_id(
            session=session, block_document_id=block_document_id, include_secrets=True
        )
        if known and (checked := await _checked_type(session, known.block_type_id)):
            before = known.data if block_document.merge_existing_data else {}
            given = with_stored_secrets(block_document.data or {}, known.data)
            refuse_wrong(checked, {**before, **given})
        is_there: bool = await change(
            session=session, block_document_id=block_document_id, block_document=block_document
        )
        return is_there

    documents.create_block_document = create
    documents.update_block_document = update


async def _checked_type(session: AsyncSession, block_type_id: UUID) -> type[Block] | None:
    block_types: Any = models.block_types
    found = await block_types.read_block_type(session=session, block_type_id=block_type_id)
    slugs = {block_type.get_block_type_slug(): block_type for block_type in _CHECKED}
    return slugs.get(found.slug) if found else None
