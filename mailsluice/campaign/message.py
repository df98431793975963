"""The message of a campaign, as its document gives it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from mailsluice.core.forms import Document
from mailsluice.core.named_address import LONGEST_ADDRESS, LONGEST_LOCAL, parse_mailbox


class Header(Document):
    """An extra header field, the same for every recipient."""

    name: str = Field(max_length=76, description="The field's name, for example X-Campaign.")
    value: str = Field(max_length=900, description="The field's value, one line.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch("[!-9;-~]+", value):
            raise ValueError(
                f"{value!r} is not the name of a header field: write letters, digits and hyphens,"
                " as in X-Campaign"
            )
        return value

    @field_validator("value")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if re.search("[\r\n]", value):
            raise ValueError("a header field has one line: remove the line break")
        return value


_OWN_HEADERS = frozenset(
    (
        *("from", "sender", "to", "cc", "bcc", "reply-to", "return-path"),
        *("subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"),
        *("mime-version", "content-type", "content-transfer-encoding"),
    )
)

_RETURN_PATH_LOCAL = 31
"""64 octets minus `+`, a recipient's id of up to 19 digits, `=`, and 12 for the MAC."""
_RETURN_PATH = re.compile(
    rf"(?=[^@]{{1,{_RETURN_PATH_LOCAL}}}@)[\w!#$%&'*+/=?^`{{|}}~-]+(\.[\w!#$%&'*+/=?^`{{|}}~-]+)*"
    r"@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    re.ASCII,
)


def _return_path(value: str) -> str:
    longest = LONGEST_ADDRESS - LONGEST_LOCAL  # room that the longest local part and @ leave
    if value and not (_RETURN_PATH.fullmatch(value) and len(value.rpartition("@")[2]) < longest):
        raise ValueError(
            f"{value!r} is no return path: write a bare address in ASCII, such as"
            f" bounces@example.com, with at most {_RETURN_PATH_LOCAL} characters before the @"
            " (each recipient's token needs the rest of 64, RFC 5321 section 4.5.3.1) and"
            f" {longest - 1} after it"
        )
    return value


ReturnPath = Annotated[str, AfterValidator(_return_path)]


def image_name(path: str) -> str:
    """Return the name by which the HTML refers to an inline image."""
    return PurePath(path).name


class Message(Document):
    """The content of the mail. Subject, HTML, text and unsubscribe address are Jinja2 templates."""

    sender: str = Field(
        min_length=3,
        description="The sender, as in News <news@example.com>. Its address is the envelope sender"
        " as well, unless there is a return path.",
    )
    subject: str = Field(
        min_length=1, max_length=2_000, description="A template: Hi {{ first_name }}."
    )
    html: str | None = Field(
        None,
        title="HTML",
        max_length=2_000_000,
        description="A template, with the columns of the audience as variables.",
    )
    text: str | None = Field(
        None,
        title="Plain text",
        max_length=2_000_000,
        description="A template; made from the HTML when left empty.",
    )
    reply_to: str | None = Field(
        None, description="The address that replies go to, if not the sender."
    )
    return_path: ReturnPath | None = Field(
        None,
        description="The address that undeliverable mail comes back to: bounces@example.com. Each"
        " recipient gets an address of its own there, bounces+...@example.com, by which"
        " collect-bounces finds the recipient.",
    )
    unsubscribe_url: str | None = Field(
        None,
        title="Unsubscribe address",
        description="A template for an https address: adds List-Unsubscribe and one-click"
        " List-Unsubscribe-Post (RFC 8058).",
    )
    headers: tuple[Header, ...] = Field((), description="Extra header fields.")
    attachments: tuple[str, ...] = Field(
        (), description="Files sent with every message, as the worker sees them."
    )
    inline_images: tuple[str, ...] = Field(
        (),
        max_length=100,
        title="Inline images",
        description="Images that the HTML shows by their file names, as cid:logo.png in the src of"
        " an img element; paths as the worker sees them.",
    )
    calendar: str | None = Field(
        None,
        max_length=4_000,
        description="An invitation (.ics with a METHOD) that mail programs show with its buttons; a"
        " path as the worker sees it. The file is a template.",
    )

    @field_validator("sender", "reply_to")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        if value is not None:
            parse_mailbox(value)
        return value

    @field_validator("inline_images")
    @classmethod
    def _distinct_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[str] = set()
        for name in map(image_name, value):
            if name in seen:
                raise ValueError(
                    f"two images have the file name {name!r}, by which the HTML refers to them:"
                    " rename one"
                )
            seen.add(name)
        return value

    @field_validator("return_path", "calendar")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("headers")
    @classmethod
    def _no_own_headers(cls, value: tuple[Header, ...]) -> tuple[Header, ...]:
        for header in value:
            if header.name.lower() in _OWN_HEADERS:
                raise ValueError(f"header {header.name} is set by Mailsluice itself: leave it out")
        return value

    @model_validator(mode="after")
    def _some_body(self) -> Self:
        if not (self.html or self.text):
            raise ValueError("the message is empty: give html, text, or both")
        if self.inline_images and not self.html:
            raise ValueError("inline images are shown by HTML: give html, or leave them out")
        return self
