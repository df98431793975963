"""An OAuth 2.0 client, for logging in with a token instead of a password."""

from __future__ import annotations

from typing import Annotated, Protocol, Self

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from mailsluice.core.forms import Document
from mailsluice.core.safe_url import is_safe_url

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class OAuth(Document):
    """A client of Google, Microsoft or another provider, with a permission for a mailbox.

    Left empty: no OAuth.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # the input holds secrets

    client_id: _Text | None = Field(
        None, title="Client ID", description="Leave all fields empty for no OAuth."
    )
    client_secret: SecretStr | None = Field(
        None, description="Stored encrypted; leave it empty for a public client, which has none."
    )
    refresh_token: SecretStr | None = Field(
        None,
        description="Stored encrypted. Written by `python -m deployments.authorise NAME` (for a"
        " mailbox: `mailbox/NAME`), or pasted from the provider's own tool.",
    )
    token_url: _Text | None = Field(
        None,
        title="Token URL",
        description="Google: https://oauth2.googleapis.com/token. Microsoft:"
        " https://login.microsoftonline.com/TENANT/oauth2/v2.0/token, with your tenant's ID"
        " for TENANT.",
    )
    scope: _Text | None = Field(
        None,
        description="Google: https://mail.google.com/. Microsoft:"
        " https://outlook.office.com/SMTP.Send offline_access, or for a mailbox"
        " https://outlook.office.com/IMAP.AccessAsUser.All offline_access.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("token_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_url(value):
            raise ValueError(
                "the token URL is no https address: secrets are sent to it, so write the provider's"
                " address, such as https://oauth2.googleapis.com/token"
            )
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = [value for value in (self.client_id, self.token_url) if value]
        rest = self.client_secret or self.refresh_token or self.scope
        if len(given) == 1 or (rest and not given):
            raise ValueError("OAuth needs a client ID and a token URL: add both, or clear the box")
        return self

    @property
    def is_used(self) -> bool:
        """Whether the login is with OAuth."""
        return self.client_id is not None

    @property
    def client(self) -> OAuth:
        """The client without the refresh token, which the provider may replace."""
        return self.model_copy(update={"refresh_token": None})

    def secrets(self) -> list[str]:
        """Return the values that must not be shown."""
        secrets = (self.client_secret, self.refresh_token)
        return [secret.get_secret_value() for secret in secrets if secret]


class OAuthLogin(Protocol):
    """A connection or a mailbox that may log in with OAuth."""

    @property
    def name(self) -> str:
        """The block, as `deployments.authorise` takes it: `gmail`, or `mailbox/bounces`."""

    @property
    def oauth(self) -> OAuth:
        """The client and the refresh token; empty if the login is a password."""

    @property
    def ca_file(self) -> str | None:
        """PEM file of a CA to trust beside the system's."""

    @property
    def timeout_seconds(self) -> float:
        """The longest wait for the token server."""
