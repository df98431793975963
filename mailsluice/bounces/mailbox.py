"""The account of a mailbox, for returned mail or as a probe: server, login and folders."""

from __future__ import annotations

from dataclasses import field

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from mailsluice.oauth.client import OAuth
from mailsluice.smtp.connection import Security


@dataclass(frozen=True, slots=True, config=ConfigDict(hide_input_in_errors=True))
class MailboxAccount:
    """An IMAP mailbox: how to log in, and which folders to use."""

    host: str
    username: str
    password: str = field(default="", repr=False)
    port: int = 993
    security: Security = Security.TLS
    ca_file: str | None = None
    """PEM file of the CA to trust instead of the system's; certificates are always verified."""
    folder: str = "INBOX"
    processed_folder: str = "Processed"
    timeout_seconds: float = 60.0
    address: str = ""
    """Where mail to the mailbox is sent; empty if it is the username."""
    spam_folder: str = ""
    """Empty: the folder that the server marks as Junk, or one with a usual name."""
    name: str = ""
    """The block, as `deployments.authorise` takes it: `mailbox/bounces`."""
    oauth: OAuth = field(default_factory=OAuth, repr=False)
    """The client for logging in with an access token instead of the password."""

    @property
    def recipient(self) -> str:
        """The address that copies for the mailbox go to."""
        return self.address or self.username
