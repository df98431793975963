"""The account at a provider whose API is asked for events. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, StringConstraints, field_validator

from mailsluice.campaign.identity import Provider
from mailsluice.core.forms import Document
from mailsluice.core.safe_url import is_safe_url

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,10}")
_QUEUE = re.compile(
    r"https://[a-z0-9.-]{0,200}?\b([a-z]{2}(?:-[a-z]{1,15}){1,3}-[0-9]{1,2})\.[a-z0-9.-]{1,100}"
    r"/[0-9]{12}/[A-Za-z0-9_-]{1,80}"
)

PUSHED_ONLY = {
    Provider.NONE: "choose the provider in the identity first",
    Provider.SENDGRID: "SendGrid's API has no events, only the last state of a message, six"
    " requests a minute, and costs extra: enter an events key, and let SendGrid push its events",
    Provider.MAILJET: "Mailjet's API has no list of events, only one of messages: enter an events"
    " key, and let Mailjet push its events",
}
"""Providers that cannot be asked, and why."""
_NEEDED = {
    Provider.MAILGUN: ("key", "domain"),
    Provider.SES: ("key", "access_key_id", "queue_url"),
}


class EventsApi(Document):
    """How to ask the provider for events. Left empty: it is not asked."""

    # The older UI shows this title instead of the field's. The input holds secrets.
    model_config = ConfigDict(title="Events API", hide_input_in_errors=True)

    key: SecretStr | None = Field(
        None,
        title="API key",
        description="Stored encrypted. Leave all fields empty if the provider is not to be asked."
        " Mailgun, SparkPost, Brevo: an API key. Postmark: the server API token. Amazon SES: the"
        " secret access key.",
    )
    domain: _Text | None = Field(None, description="Mailgun: the domain that sends.")
    queue_url: _Text | None = Field(
        None,
        title="Queue URL",
        description="Amazon SES: the SQS queue that subscribes to the SNS topic.",
    )
    access_key_id: _Text | None = Field(
        None, title="Access key ID", description="Amazon SES: a user who may read the queue."
    )
    session_token: SecretStr | None = Field(
        None, description="Amazon SES: for temporary credentials only. Stored encrypted."
    )
    url: _Text | None = Field(
        None,
        title="API URL",
        description="Only for another region, such as https://api.eu.mailgun.net or"
        " https://api.eu.sparkpost.com.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_safe_url(value) or urlsplit(value).path not in ("", "/"):
            raise ValueError(
                "this is no https address without a path: the key is sent to it, so write the"
                " provider's, such as https://api.eu.mailgun.net"
            )
        return value.rstrip("/")

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, value: str | None) -> str | None:
        if value is not None and not _DOMAIN.fullmatch(value):
            raise ValueError("this is no domain: write the one at Mailgun, such as mg.example.com")
        return value

    @field_validator("queue_url")
    @classmethod
    def _is_queue(cls, value: str | None) -> str | None:
        if value is not None and not _QUEUE.fullmatch(value):
            raise ValueError(
                "this is no URL of a queue: copy it from Amazon SQS, where it looks like"
                " https://sqs.eu-west-1.amazonaws.com/123456789012/name"
            )
        return value

    @property
    def is_used(self) -> bool:
        """Whether anything is filled in."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)

    @property
    def secret(self) -> str:
        """The API key, as it is sent."""
        return self.key.get_secret_value().strip() if self.key else ""

    @property
    def token(self) -> str:
        """The session token, as it is sent; empty if there is none."""
        return self.session_token.get_secret_value().strip() if self.session_token else ""

    @property
    def region(self) -> str:
        """The region of the queue."""
        match = _QUEUE.fullmatch(self.queue_url or "")
        return match[1] if match else ""

    def check(self, provider: Provider) -> None:
        """Raise ValueError if the provider cannot be asked, or not with these fields."""
        if provider in PUSHED_ONLY:
            raise ValueError(f"the events API cannot be used: {PUSHED_ONLY[provider]}")
        needed = _NEEDED.get(provider, ("key",))
        if missing := [name for name in needed if not getattr(self, name)]:
            titles = ", ".join(type(self).model_fields[name].title or name for name in missing)
            raise ValueError(f"the events API of {provider} also needs: {titles}")
        if not _is_key(self.secret):
            raise ValueError("the API key has characters that no key has: copy it again")
        if self.access_key_id is not None and not _is_key(self.access_key_id.strip()):
            raise ValueError("the access key ID has characters that no ID has: copy it again")
        if self.session_token is not None and not _is_key(self.token):
            raise ValueError("the session token has characters that no token has: copy it again")


def _is_key(text: str) -> bool:
    """Whether a text can be part of a header field."""
    return bool(text) and text.isascii() and text.isprintable()


@dataclass(frozen=True, slots=True)
class EventAccount:
    """A connection whose provider can be asked. Raises ValueError if it cannot."""

    connection: str
    provider: Provider
    api: EventsApi = field(repr=False)

    def __post_init__(self) -> None:
        self.api.check(self.provider)
