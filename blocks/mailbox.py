"""The block of a mailbox: one that receives bounces and complaints, or a probe mailbox."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, Self

from prefect.blocks.core import Block
from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    model_validator,
)

from blocks.fields import CONFIG, CaFile, Host, OrNone, Text, Timeout
from blocks.oauth_block import OAuthBlock
from mailsluice.bounces import mailbox as engine
from mailsluice.oauth.client import OAuth
from mailsluice.smtp.connection import Security


def _is_a_folder(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f*%]", value):
        raise ValueError(
            f"{value!r} is not the name of a folder: write it without *, % and control characters"
        )
    return value


Folder = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_a_folder)]


class Mailbox(OAuthBlock, Block):
    """An IMAP mailbox that receives bounces and complaints, or copies of a test."""

    _block_type_name = "Mailbox"
    _block_type_slug = "mailbox"
    _description = "An IMAP mailbox that receives bounces and complaints, or copies of a test."
    _code_example = (
        "```python\n"
        "from blocks import Mailbox\n\n"
        'Mailbox(host="imap.example.com", username="me", password="...").save("bounces")\n'
        "```"
    )

    model_config = CONFIG

    host: Host
    port: int = Field(993, ge=1, le=65_535, description="993 for TLS, 143 for STARTTLS or none.")
    security: Security = Field(
        Security.TLS,
        description="tls: encrypted from the first byte. starttls: encrypted after the greeting, or"
        " the connection fails. none: plain text, on a trusted network.",
    )
    username: Text = Field(description="Often the mailbox's address.")
    password: Annotated[SecretStr | None, OrNone] = Field(
        None,
        description="Stored encrypted. Many providers require an app password. Empty with OAuth.",
    )
    oauth: OAuth = Field(
        OAuth(),
        title="OAuth",
        description="For Gmail, Microsoft 365 and others that require OAuth 2.0 instead of a"
        " password; the user name is the mailbox.",
    )
    allow_plain_password: bool = Field(
        False, description="Send the password, or the OAuth token, although security is none."
    )
    ca_file: CaFile = None
    folder: Folder = Field("INBOX", description="The folder that receives the mail.")
    processed_folder: Folder = Field(
        "Processed",
        description="The folder for processed mail, created if missing. Mail that cannot be read"
        " stays in its folder, flagged.",
    )
    address: str = Field(
        "",
        max_length=254,
        description="For a probe mailbox: where copies are sent. Left empty: the username.",
    )
    spam_folder: str = Field(
        "",
        max_length=200,
        description="For a probe mailbox. Left empty: the folder that the server marks as Junk, or"
        " one with a usual name (Junk, Spam, Bulk Mail, [Gmail]/Spam).",
    )
    timeout_seconds: Timeout = 60

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.oauth.is_used and self.password:
            raise ValueError("a login is a password or OAuth, not both: clear one of them")
        if not (self.oauth.is_used or self.password):
            raise ValueError("there is no password: enter it, or fill in the OAuth box")
        if self.security is Security.NONE and not self.allow_plain_password:
            secret = "access token" if self.oauth.is_used else "password"
            raise ValueError(
                f"security is 'none', so the {secret} would travel in clear: choose 'tls' or "
                "'starttls', or set allow_plain_password on a network that you trust"
            )
        if self.processed_folder == self.folder:
            raise ValueError(
                "processed_folder is also the folder that is read, so its mail would be read"
                " again and again: give another name"
            )
        return self

    def to_mailbox(self, name: str) -> engine.MailboxAccount:
        """Return the account that the engine uses; `name` is the block's name."""
        names = (field.name for field in fields(engine.MailboxAccount) if field.name != "name")
        values = {name: getattr(self, name) for name in names}
        password = self.password.get_secret_value() if self.password else ""
        slug = self.get_block_type_slug()
        return engine.MailboxAccount(**{**values, "name": f"{slug}/{name}", "password": password})
