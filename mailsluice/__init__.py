"""Send e-mail campaigns over several SMTP connections: in exact shares, and exactly once.

>>> import mailsluice
>>> connection = mailsluice.Connection("local", "127.0.0.1", 1025, "none")
>>> mailsluice.send("campaign.yaml", [connection]).summary()
'1,000 of 1,000 sent'

Each name is loaded at its first use, so the import itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailsluice.campaign import Campaign, SenderIdentity
    from mailsluice.core.errors import MailsluiceError
    from mailsluice.operations.document_file import read_campaign
    from mailsluice.operations.review import plan, report, verify
    from mailsluice.operations.send import send, send_async
    from mailsluice.reports.campaign import Report
    from mailsluice.smtp.connection import Connection

__all__ = [
    "Campaign",
    "Connection",
    "MailsluiceError",
    "Report",
    "SenderIdentity",
    "plan",
    "read_campaign",
    "report",
    "send",
    "send_async",
    "verify",
]

_HOMES = {
    "Campaign": "mailsluice.campaign",
    "Connection": "mailsluice.smtp.connection",
    "MailsluiceError": "mailsluice.core.errors",
    "Report": "mailsluice.reports.campaign",
    "SenderIdentity": "mailsluice.campaign",
    "plan": "mailsluice.operations.review",
    "read_campaign": "mailsluice.operations.document_file",
    "report": "mailsluice.operations.review",
    "send": "mailsluice.operations.send",
    "send_async": "mailsluice.operations.send",
    "verify": "mailsluice.operations.review",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__
