"""How to reach the mailbox that mail comes back to: what a mailbox block holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailsluice.smtp.connection import Security


@dataclass(frozen=True, slots=True)
class MailboxAccount:
    """One folder of an IMAP mailbox, and the folder for what is done with."""

    host: str
    username: str
    password: str = field(repr=False)
    port: int = 993
    security: Security = Security.TLS
    ca_file: str | None = None
    """PEM file of the CA to trust instead of the system's; certificates are always verified."""
    folder: str = "INBOX"
    processed_folder: str = "Processed"
    timeout_seconds: float = 60.0
