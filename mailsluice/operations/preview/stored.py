"""A preview as JSON, which Prefect stores, and the address at which its server shows it. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from mailsluice.operations.preview.messages import MessagePreview

KIND = "mailsluice-preview"
"""The type of the artifact."""
ROUTE = "mailsluice-preview"
"""The path of previews below the UI's address; below the API's, it tells that there is one."""
_ADAPTER = TypeAdapter(MessagePreview)


def as_data(preview: MessagePreview) -> dict[str, Any]:
    """The preview for JSON."""
    return asdict(preview)


def from_data(data: Any) -> MessagePreview:
    """Read a stored preview. Raises ValueError where the data is none."""
    return _ADAPTER.validate_python(data)
