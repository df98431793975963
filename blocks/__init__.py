"""The blocks that Prefect stores for Mailsluice, and the form of a campaign.

Each name is loaded at its first use: defining a block takes as long as loading thirty modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blocks.form import CampaignForm
    from blocks.list_storage import ListStorage
    from blocks.mailbox import Mailbox
    from blocks.smtp_connection import SMTPConnection

__all__ = ["CampaignForm", "ListStorage", "Mailbox", "SMTPConnection"]

_HOMES = {
    "CampaignForm": "blocks.form",
    "ListStorage": "blocks.list_storage",
    "Mailbox": "blocks.mailbox",
    "SMTPConnection": "blocks.smtp_connection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
