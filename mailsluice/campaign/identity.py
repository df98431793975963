"""The identity of a connection: who the mail that goes over it is from.

A connection's block and a campaign's route may each set parts of an identity. A route's fields come
before those of the block, and those of the block before the campaign's message.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from mailsluice.campaign.message import Header, Message, ReturnPath
from mailsluice.core.forms import Document
from mailsluice.core.named_address import parse_mailbox


class Provider(StrEnum):
    """The company behind a connection: which header fields make its events attributable."""

    NONE = "none"
    """No provider, or another one: no header fields are added."""
    SENDGRID = "sendgrid"
    SES = "ses"
    SPARKPOST = "sparkpost"
    MAILGUN = "mailgun"
    POSTMARK = "postmark"
    BREVO = "brevo"
    MAILJET = "mailjet"


_RESERVED = re.compile(
    r"from|sender|to|cc|bcc|reply-to|return-path|subject|date|message-id|in-reply-to|references"
    r"|list-unsubscribe|list-unsubscribe-post|mime-version|content-.*|received|resent-.*"
    r"|dkim-signature|domainkey-signature|arc-.*|authentication-results|received-spf",
    re.IGNORECASE,
)
"""Fields that Mailsluice, another field of the identity, or a mail server writes."""


class HeaderTemplate(Header):
    """A header field whose value is a template."""

    name: str = Field(max_length=76, description="The field's name, for example X-Segment.")
    value: str = Field(
        min_length=1,
        max_length=900,
        description="A template, one line: {{ segment }}. A recipient for whom it is empty gets no"
        " such field.",
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if not value[:1].isalnum():  # a line of a message that begins with a dot needs stuffing
            raise ValueError(f"header {value}: let its name begin with a letter, as in X-Segment")
        if _RESERVED.fullmatch(value):
            raise ValueError(
                f"header {value} is set by Mailsluice or by mail servers: leave it out"
            )
        return value


def _mailbox(value: str) -> str:
    parse_mailbox(value)
    return value


Mailbox = Annotated[str, Field(min_length=3), AfterValidator(_mailbox)]


def _word(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{1,64}", value):
        raise ValueError(
            f"{value[:80]!r} is no such name: write at most 64 letters, digits, hyphens and"
            " underscores, as at the provider"
        )
    return value


Word = Annotated[str, AfterValidator(_word)]

_LONGEST_URL = 200
_URL = re.compile(
    r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[\w.~-]+)*/?", re.ASCII | re.IGNORECASE
)
_LONGEST_UNSUBSCRIBE = 19
"""64 octets before the @ (RFC 5321 section 4.5.3.1.1) minus `+` and a token of 44 characters."""
_UNSUBSCRIBE_MAILBOX = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST_UNSUBSCRIBE - 1}}}(?<![.])"
    r"@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,7}"
)


def _one_click_url(value: str) -> str:
    if len(value) > _LONGEST_URL or not _URL.fullmatch(value):
        raise ValueError(
            f"{value[:80]!r} is no address for one-click unsubscribing: write that of the receiver"
            " of events as the internet reaches it, such as https://events.example.com, with at"
            f" most {_LONGEST_URL} characters and no ? or #"
        )
    return value


def _unsubscribe_mailbox(value: str) -> str:
    if not _UNSUBSCRIBE_MAILBOX.fullmatch(value):
        raise ValueError(
            f"{value[:80]!r} is no mailbox for unsubscribing: write a bare address of letters,"
            " digits, dots, hyphens and underscores, such as unsubscribe@example.com, with at most"
            f" {_LONGEST_UNSUBSCRIBE} characters before the @ (each recipient's token needs the"
            " rest of 64)"
        )
    return value


OneClickUrl = Annotated[str, AfterValidator(_one_click_url)]
UnsubscribeMailbox = Annotated[str, AfterValidator(_unsubscribe_mailbox)]


class SenderIdentity(Document):
    """The sender of the mail on one connection. Fields left empty are those of the message."""

    model_config = ConfigDict(title="Identity")  # the older UI shows it instead of the field's

    sender: Mailbox | None = Field(
        None, description="The sender there, as in News <news@example.com>."
    )
    reply_to: Mailbox | None = Field(None, description="The address that replies go to.")
    return_path: ReturnPath | None = Field(
        None,
        description="The address that undeliverable mail comes back to: bounces@example.com. Each"
        " recipient gets an address of its own there.",
    )
    unsubscribe_url: str | None = Field(
        None,
        title="Unsubscribe address",
        max_length=2_000,
        description="A template for the https address of a page of yours: for"
        " {{ unsubscribe_url }}, and for List-Unsubscribe where there is no one-click address.",
    )
    one_click_url: OneClickUrl | None = Field(
        None,
        title="One-click address",
        description="The address of `mailsluice events serve` as recipients reach it:"
        " https://events.example.com. Each mail has a link of its own there; a click on it"
        " puts the recipient on the suppression list.",
    )
    unsubscribe_mailbox: UnsubscribeMailbox | None = Field(
        None,
        description="An address of a mailbox that collect-bounces reads: unsubscribe@example.com."
        " Each mail names an address of its own there, unsubscribe+...@example.com; a mail to it"
        " puts the recipient on the suppression list.",
    )
    headers: tuple[HeaderTemplate, ...] = Field(
        (), max_length=20, description="Extra header fields; their values are templates."
    )
    provider: Provider | None = Field(
        None,
        description="Adds the header fields by which this provider's events name their recipient,"
        " with a token instead of an address.",
    )
    configuration_set: Word | None = Field(
        None, description="Amazon SES only: the configuration set that publishes the events."
    )
    message_stream: Word | None = Field(
        None, description="Postmark only: the ID of the message stream, such as broadcast."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("headers", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return () if value is None else value

    @field_validator("headers")
    @classmethod
    def _named_once(cls, value: tuple[HeaderTemplate, ...]) -> tuple[HeaderTemplate, ...]:
        names = [header.name.lower() for header in value]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"header {value[number].name} is listed twice: merge the two")
        return value

    @model_validator(mode="after")
    def _fits_provider(self) -> Self:
        for name, provider in _SETTINGS.items():
            if getattr(self, name) and self.provider not in (None, provider):
                raise ValueError(
                    f"{name} is for the provider {provider.value!r}, not"
                    f" {self.provider}: clear it, or choose that provider"
                )
        return self

    def over(self, base: SenderIdentity) -> SenderIdentity:
        """Combine two identities: these fields, and those of `base` where these are empty.

        Headers are combined by their names. The settings of another provider are left out.
        """
        kept = base.given()
        if self.provider is not None:
            for name, provider in _SETTINGS.items():
                if provider is not self.provider:
                    kept.pop(name, None)
        own = {header.name.lower() for header in self.headers}
        others = tuple(header for header in base.headers if header.name.lower() not in own)
        return SenderIdentity(**{**kept, **self.given(), "headers": (*others, *self.headers)})

    def given(self) -> dict[str, Any]:
        """Return the fields that are set, by name."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value for name, value in values.items() if value not in (None, ())}

    def applied_to(self, message: Message) -> Message:
        """Return the message with this identity, except for the headers of the identity."""
        own = {header.name.lower() for header in self.headers}
        left = tuple(header for header in message.headers if header.name.lower() not in own)
        update = {name: value for name, value in self.given().items() if name in _OF_MESSAGE}
        return message.model_copy(update={**update, "headers": left})


_SETTINGS = {"configuration_set": Provider.SES, "message_stream": Provider.POSTMARK}
_OF_MESSAGE = ("sender", "reply_to", "return_path", "unsubscribe_url")
