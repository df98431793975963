"""The block that holds the mailbox that undeliverable mail comes back to."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, Self

from prefect.blocks.core import Block
from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from blocks.fields import CONFIG, CaFile, Host, Text, Timeout
from blocks.logo import ServedLogo
from mailsluice.bounces import mailbox as engine
from mailsluice.core.forms import form_schema
from mailsluice.smtp.connection import Security


def _is_a_folder(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f*%]", value):
        raise ValueError(
            f"{value!r} is not a folder: write its name without *, % and control characters"
        )
    return value


Folder = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_is_a_folder)]


class Mailbox(ServedLogo, Block):
    """An IMAP mailbox that undeliverable mail and complaints come back to."""

    _block_type_name = "Mailbox"
    _block_type_slug = "mailbox"
    _description = "An IMAP mailbox that undeliverable mail and complaints come back to."
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
        description="tls: encrypted from the first byte. starttls: a greeting in clear, then"
        " encrypted or not used. none: plain text, on a trusted network.",
    )
    username: Text = Field(description="Often the mailbox's address.")
    password: SecretStr = Field(
        description="Stored encrypted. Many providers want one made for this program alone."
    )
    allow_plain_password: bool = Field(
        False, description="Send the password although security is none."
    )
    ca_file: CaFile = None
    folder: Folder = Field("INBOX", description="Where the mail comes in.")
    processed_folder: Folder = Field(
        "Processed",
        description="Where mail is moved to that is done with; made where there is none. The rest"
        " stays in the folder, flagged.",
    )
    timeout_seconds: Timeout = 60

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return form_schema(schema, handler)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.security is Security.NONE and not self.allow_plain_password:
            raise ValueError(
                "security is 'none', so the password would travel in clear: choose 'tls' or "
                "'starttls', or set allow_plain_password on a network that you trust"
            )
        if self.processed_folder == self.folder:
            raise ValueError(
                "processed_folder is the folder that is read: its mail would be read again and "
                "again; give it another name"
            )
        return self

    def to_mailbox(self) -> engine.MailboxAccount:
        """Hand the engine its mailbox."""
        names = (field.name for field in fields(engine.MailboxAccount))
        values = {name: getattr(self, name) for name in names}
        return engine.MailboxAccount(**{**values, "password": self.password.get_secret_value()})
