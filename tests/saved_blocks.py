"""Blocks on the Prefect server of a test."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from prefect.blocks.core import Block


def save(block: Block, name: str) -> UUID:
    """Save a block under a name, in place of what is there; returns the document's id.

    Waits for it, also where an event loop runs, as in asynchronous tests and beside Playwright.
    """
    document = block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    assert isinstance(document, UUID)
    return document


def remove(kind: type[Block], name: str) -> None:
    """Delete the block of this name, if there is one."""
    with suppress(ValueError):  # there is none
        kind.delete(name, _sync=True)  # type: ignore[call-arg]
