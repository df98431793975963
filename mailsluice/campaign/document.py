"""The campaign document: what is sent, to whom, over which connections, how fast.

One frozen model, checked as a whole before anything is read or written. The same document comes
from Python, YAML, JSON or the Prefect form; the form's model is a subclass that only changes how a
connection or a database is picked.
"""

from __future__ import annotations

import codecs
import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePath
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from mailsluice.campaign.routes import Route, percents_on, refuse_overgrown
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.forms import Document
from mailsluice.core.named_address import LONGEST_ADDRESS, LONGEST_LOCAL, parse_mailbox
from mailsluice.core.names import campaign_name


class Strategy(StrEnum):
    """How recipients are shared out to the connections."""

    SINGLE = "single"
    """One connection sends the whole campaign."""
    PERCENTAGE = "percentage"
    """Each connection has a percentage; together exactly 100."""
    ROUND_ROBIN = "round_robin"
    """Each batch of recipients goes to the next connection in the list."""


class UncertainPolicy(StrEnum):
    """What happens to recipients of whom nobody can know whether they got the mail."""

    HOLD = "hold"
    """Leave them alone until a person decides."""
    RESEND = "resend"
    """Send again: somebody may get the mail twice."""
    ASSUME_SENT = "assume_sent"
    """Count them as sent: somebody may not get the mail."""


class DownPolicy(StrEnum):
    """What happens to the recipients of a connection that is down."""

    HOLD = "hold"
    """They stay on their connection, pending; the run ends Failed and can be retried."""
    REASSIGN = "reassign"
    """Those never attempted move to the healthy connections, in proportion; recorded per row."""


class Dispatch(StrEnum):
    """Where mail is sent from."""

    INLINE = "inline"
    """The process of the campaign's run."""
    WORKERS = "workers"
    """Runs of their own on Prefect's workers, several a connection where it has many sessions."""


_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
"""Codecs of text that no file is written in."""
_NO_DELIMITERS = "\"'\\\r\n\0@.+-_"
"""Characters that are in addresses and quoted values, or end a line."""


class RecipientSource(Document):
    """Where addresses come from: a CSV or Parquet file, or a query over a stored database."""

    path: str | None = Field(
        None,
        title="File",
        description="A CSV (.csv, .tsv, .txt) or Parquet (.parquet) file, as the worker sees it.",
    )
    query: str | None = Field(
        None, title="Query", description="A SQL SELECT, instead of a file.", max_length=100_000
    )
    database: str | None = Field(
        None, title="Database", description="The database block that the query runs on."
    )
    email_column: str = Field(
        "email",
        min_length=1,
        title="E-mail column",
        description="The column that holds the e-mail address.",
    )
    encoding: str = Field(
        "utf-8",
        description="Character encoding of a CSV file: utf-8 (with or without BOM), cp1252, ...",
    )
    delimiter: Annotated[str, StringConstraints(strip_whitespace=False)] = Field(
        ",", min_length=1, max_length=1, description="What separates the columns of a CSV file."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path and (self.query or self.database):
            raise ValueError("give either a file (path) or a query with its database, not both")
        if bool(self.query) != bool(self.database):
            missing = "database" if self.query else "query"
            raise ValueError(f"a query needs its database and the other way round: add {missing}")
        return self

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
            is_known = codecs.lookup(value).name.replace("_", "-") not in _NO_CHARSETS
        except (LookupError, ValueError):
            is_known = False
        if not is_known:
            raise ValueError(
                f"unknown encoding {value!r}: use a Python codec name such as utf-8 or cp1252"
            )
        return value

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, value: str) -> str:
        if not value.isascii() or value.isalnum() or value in _NO_DELIMITERS:
            raise ValueError(
                f"{value!r} cannot separate columns: use a comma, a semicolon, a tab or a bar (|)"
            )
        return value

    @property
    def given(self) -> bool:
        """Whether there is anything to read."""
        return bool(self.path or self.query)

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet, told by its name."""
        return PurePath(self.path or "").suffix.lower() in {".parquet", ".pq"}


class Header(Document):
    """One extra header field, the same for every recipient."""

    name: str = Field(max_length=76, description="The field's name, for example X-Campaign.")
    value: str = Field(max_length=900, description="The field's value, one line.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch("[!-9;-~]+", value):
            raise ValueError(
                f"{value!r} is not the name of a header field: write letters, digits and hyphens,"
                " as X-Campaign"
            )
        return value

    @field_validator("value")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if re.search("[\r\n]", value):
            raise ValueError("a header field has one line: take the line break out")
        return value


_OWN_HEADERS = frozenset(
    (
        *("from", "sender", "to", "cc", "bcc", "reply-to", "return-path"),
        *("subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"),
        *("mime-version", "content-type", "content-transfer-encoding"),
    )
)


_RETURN_PATH_LOCAL = 31
"""64 octets less `+`, a recipient's id of up to 19 digits, `=`, and 12 for the MAC."""
_RETURN_PATH = re.compile(
    rf"(?=[^@]{{1,{_RETURN_PATH_LOCAL}}}@)[\w!#$%&'*+/=?^`{{|}}~-]+(\.[\w!#$%&'*+/=?^`{{|}}~-]+)*"
    r"@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    re.ASCII,
)


class Message(Document):
    """What is sent. Subject, HTML, text and the unsubscribe address are Jinja2 templates."""

    sender: str = Field(
        min_length=3,
        description="Who it is from: News <news@example.com>. Its address is the envelope sender,"
        " unless there is a return path.",
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
    reply_to: str | None = Field(None, description="Where replies go, if not to the sender.")
    return_path: str | None = Field(
        None,
        description="Where mail that cannot be delivered comes back to: bounces@example.com. Each"
        " recipient gets an address of its own there, bounces+...@example.com, by which"
        " collect-bounces knows whose mail it is.",
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

    @field_validator("sender", "reply_to")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        if value is not None:
            parse_mailbox(value)
        return value

    @field_validator("return_path")
    @classmethod
    def _return_path(cls, value: str | None) -> str | None:
        longest = LONGEST_ADDRESS - LONGEST_LOCAL  # what the token's local part leaves, with the @
        if value and not (
            _RETURN_PATH.fullmatch(value) and len(value.rpartition("@")[2]) < longest
        ):
            raise ValueError(
                f"{value!r} is no return path: write a bare address in ASCII with at most"
                f" {_RETURN_PATH_LOCAL} characters before the @ (the token of each recipient takes"
                f" the rest of 64, RFC 5321 section 4.5.3.1) and {longest - 1} after it, as"
                " bounces@example.com"
            )
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
        return self


class Throttle(Document):
    """The most messages in any trailing window of that length, over all connections together."""

    per_second: int | None = Field(None, ge=1, le=1_000_000, description="In any second.")
    per_minute: int | None = Field(None, ge=1, le=60_000_000, description="In any minute.")
    per_hour: int | None = Field(None, ge=1, le=1_000_000_000, description="In any hour.")
    per_day: int | None = Field(None, ge=1, le=10_000_000_000, description="In any 24 hours.")


class Retry(Document):
    """How long and how often a recipient that the server put off (4xx) is tried again.

    Five days, with waits that grow to hours (RFC 5321 section 4.5.4.1).
    """

    max_attempts: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Attempts in all, the first included; left empty: as many as fit into the age.",
    )
    max_age_hours: float = Field(
        120, gt=0, le=24 * 30, description="Given up this long after the first attempt."
    )
    first_delay_seconds: float = Field(
        600,
        gt=0,
        le=86_400,
        description="The longest wait before the second attempt; doubles with each further one.",
    )
    max_delay_seconds: float = Field(
        14_400, gt=0, le=86_400, description="The longest wait between two attempts."
    )


class Campaign(Document):
    """A campaign: recipients, message, connections and their shares, throttles."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=False), AfterValidator(campaign_name)
    ] = Field(
        description="Its identity: the same name goes on where it stopped. {date} stands for the"
        " run's scheduled date, for a campaign a week.",
    )
    recipients: RecipientSource = Field(description="Who gets it.")
    message: Message = Field(description="What they get.")
    strategy: Strategy = Field(
        Strategy.SINGLE, description="How recipients are shared out to the connections."
    )
    routes: tuple[Route, ...] = Field(
        min_length=1, max_length=100, description="The connections, in order."
    )
    batch_size: int = Field(
        100, ge=1, le=1_000_000, description="Recipients a batch, for the strategy 'round_robin'."
    )
    throttle: Throttle = Field(
        Throttle(), description="Limits of the whole campaign, shared out by share."
    )
    sending_window: SendingWindow = Field(
        SendingWindow(), description="The days and hours in which mail is sent."
    )
    exclude: RecipientSource = Field(
        RecipientSource(), description="Addresses that do not get it, although they are recipients."
    )
    retry: Retry = Field(Retry(), description="What happens after 'try again later' (4xx).")
    uncertain: UncertainPolicy = Field(
        UncertainPolicy.HOLD,
        title="Recipients in doubt",
        description="Those of whom, after a crash, nobody can know whether they got the mail.",
    )
    on_connection_down: DownPolicy = Field(
        DownPolicy.HOLD,
        title="When a connection is down",
        description="What happens to its recipients.",
    )

    dispatch: Dispatch = Field(
        Dispatch.INLINE,
        title="Sent from",
        description="Where mail is sent from: this run's own process, or Prefect's workers.",
    )
    sessions_per_worker: int = Field(
        20,
        ge=1,
        le=1_000,
        title="Sessions per worker",
        description="With 'workers': a connection with more sessions than this is shared out to"
        " several of them.",
    )

    @field_validator("recipients")
    @classmethod
    def _recipients_given(cls, value: RecipientSource) -> RecipientSource:
        if not value.given:
            raise ValueError("no recipients: give a file (path), or a query with its database")
        return value

    @field_validator("routes")
    @classmethod
    def _distinct(cls, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        seen: set[str] = set()
        for route in routes:
            if route.connection in seen:
                raise ValueError(
                    f"connection {route.connection!r} is listed twice: merge the two routes"
                )
            seen.add(route.connection)
        return routes

    @model_validator(mode="after")
    def _routes_fit_strategy(self) -> Self:
        if self.strategy is Strategy.PERCENTAGE:
            self._check_percentages()
            return self
        for route in self.routes:
            if route.percent is not None:
                raise ValueError(
                    f"connection {route.connection!r} has a percentage, but the strategy is "
                    f"{self.strategy.value!r}: remove the percentage or choose 'percentage'"
                )
        if self.strategy is Strategy.SINGLE and len(self.routes) > 1:
            raise ValueError(
                f"the strategy 'single' takes one connection, not {len(self.routes)}: remove the "
                "others, or choose 'percentage' or 'round_robin'"
            )
        return self

    def _check_percentages(self) -> None:
        for route in self.routes:
            if route.percent is None:
                raise ValueError(
                    f"connection {route.connection!r} has no percentage: give it one (0 is allowed)"
                )
        total = sum((route.percent or Decimal(0) for route in self.routes), Decimal(0))
        if total != 100:
            verb = "raise" if total < 100 else "lower"
            raise ValueError(
                f"percentages add up to {_plain(total)}, not 100: "
                f"{verb} one of them by {_plain(abs(100 - total))}"
            )
        refuse_overgrown(self.routes)

    def percents(self, day: date) -> list[Decimal] | None:
        """Each route's percentage on a day, together exactly 100; None in the other modes."""
        is_percentage = self.strategy is Strategy.PERCENTAGE
        return percents_on(self.routes, day) if is_percentage else None

    def shares(self, day: date) -> dict[str, Decimal]:
        """Each connection's share on a day, as a fraction; together 1 (within 28 digits)."""
        percents = self.percents(day) or [Decimal(100) / len(self.routes)] * len(self.routes)
        parts = zip(self.routes, percents, strict=True)
        return {route.connection: percent / 100 for route, percent in parts}

    def content(self) -> dict[str, Any]:
        """What makes this campaign this campaign, as plain JSON values.

        Throttles, windows, retries, policies and from where it is sent are left out: an operator
        may change those and go on.
        """
        policies = {"retry", "uncertain", "on_connection_down"}
        own = {"throttle", "sending_window", "dispatch", "sessions_per_worker", *policies}
        return self.model_dump(mode="json", exclude={"name", *own})


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
