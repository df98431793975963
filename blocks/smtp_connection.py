"""The block of an SMTP connection: its server, its login and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from prefect.blocks.core import Block
from pydantic import (
    Field,
    SecretStr,
    model_validator,
)

from blocks.fields import CONFIG, CaFile, Host, OrNone, Text, Timeout
from blocks.oauth_block import OAuthBlock
from mailsluice.campaign.identity import Provider, SenderIdentity
from mailsluice.campaign.throttle import ProviderThrottles
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.timezones import Timezone
from mailsluice.events.pulled.account import EventAccount, EventsApi
from mailsluice.oauth.client import OAuth
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.dkim.settings import Dkim

if TYPE_CHECKING:
    from mailsluice.operations.events.sources import EventSource

_OF_EVENTS = frozenset(("events_key", "events_api"))
"""Fields that sending has no use for."""


class SMTPConnection(OAuthBlock, Block):
    """One SMTP server with its login and its limits, picked by a campaign's routes."""

    _block_type_name = "SMTP Connection"
    _block_type_slug = "smtp-connection"
    _description = "One SMTP server with its login and its limits, picked by a campaign's routes."
    _code_example = (
        "```python\n"
        "from blocks import SMTPConnection\n\n"
        'SMTPConnection(host="smtp.example.com", username="me", password="...").save("provider")\n'
        "```"
    )

    model_config = CONFIG

    host: Host
    port: int = Field(
        587, ge=1, le=65_535, description="587 for STARTTLS, 465 for TLS, 25 for a relay."
    )
    security: Security = Field(
        Security.STARTTLS,
        description="starttls: encrypted after the greeting, or the connection fails. tls:"
        " encrypted from the first byte. none: plain text, for a relay on a trusted network.",
    )
    username: Annotated[Text | None, OrNone] = Field(
        None, description="Empty if the server requires no login."
    )
    password: Annotated[SecretStr | None, OrNone] = Field(
        None, description="Stored encrypted. Empty with OAuth."
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
    local_hostname: Annotated[Text | None, OrNone] = Field(
        None, description="The name in EHLO; the worker's own name if empty."
    )
    max_sessions: int = Field(
        4, ge=1, le=1_000, description="The most sessions open at once, over all campaigns."
    )
    max_sessions_per_host: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="The most sessions open at once over all connections to this host that have a"
        " number here; the lowest binds.",
    )
    messages_per_session: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Messages after which a session is closed and a new one opened.",
    )
    messages_in_flight: int = Field(
        1,
        ge=1,
        le=100,
        description="The most messages in flight in one session, if the server offers CHUNKING."
        " A higher number needs fewer round trips to a distant server; when a session breaks,"
        " all messages in flight become uncertain.",
    )
    per_second: int | None = Field(
        None, ge=1, le=1_000_000, description="The most messages in any second."
    )
    per_minute: int | None = Field(
        None, ge=1, le=60_000_000, description="The most messages in any minute."
    )
    per_hour: int | None = Field(
        None, ge=1, le=1_000_000_000, description="The most messages in any hour."
    )
    per_day: int | None = Field(
        None, ge=1, le=10_000_000_000, description="The most messages in any 24 hours."
    )
    per_week: int | None = Field(
        None, ge=1, le=100_000_000_000, description="The most messages in any 7 days."
    )
    per_calendar_day: int | None = Field(
        None,
        ge=1,
        le=10_000_000_000,
        title="Per calendar day",
        description="The most messages from one reset of a daily quota to the next.",
    )
    day_begins_at: int = Field(
        0, ge=0, le=23, description="The hour at which the daily quota resets, 0 to 23."
    )
    per_month: int | None = Field(
        None,
        ge=1,
        le=100_000_000_000,
        description="The most messages in a calendar month, or from one billing day to the next.",
    )
    month_begins_on: int = Field(
        1,
        ge=1,
        le=28,
        description="The day on which the monthly quota resets, at midnight: 1, or the billing day"
        " (up to 28).",
    )
    calendar_timezone: Annotated[Timezone | None, OrNone] = Field(
        None,
        title="Time zone of the quotas",
        description="The provider's time zone, in which days and months begin, such as"
        " America/Los_Angeles; UTC if left empty.",
    )
    per_provider: ProviderThrottles = Field(
        (),
        title="Limits by mailbox provider",
        description="The most messages to the mailboxes of single providers, over all campaigns. A"
        " provider that is held does not delay the mail to others.",
    )
    warm_up: WarmUp = Field(
        WarmUp(), title="Warm-up", description="A growing daily cap, for a new IP address."
    )
    timeout_seconds: Timeout = 60
    cool_down_seconds: int | None = Field(
        None,
        ge=1,
        le=86_400,
        title="Cool-down in seconds",
        description="How long the connection is left alone after failures, twice as long after each"
        " further one; after the third it is down for the run. Empty: 30 seconds, and shorter where"
        " a server that could not be reached answers again.",
    )
    cool_down_after: int | None = Field(
        None,
        ge=1,
        le=100,
        title="Failures before the cool-down",
        description="How many failures in a row begin the cool-down: sessions that could not be"
        " opened, or were ended before they carried mail. Empty: 6.",
    )
    identity: SenderIdentity = Field(
        SenderIdentity(),
        description="Who the mail is from on this connection. Left empty: as the campaign's message"
        " says, without a provider's own header fields.",
    )
    dkim: Dkim = Field(
        Dkim(),
        title="DKIM",
        description="Signs the mail of this connection: only if the server is your own and does not"
        " sign. Left empty: the mail is not signed here.",
    )
    events_key: Annotated[SecretStr | None, OrNone] = Field(
        None,
        description="Proves that events come from the identity's provider. SendGrid: the"
        " verification key. Mailgun: the webhook signing key. Amazon SES: the ARN of the SNS topic."
        " SparkPost, Postmark, Mailjet: user:password of your choice. Brevo: that, or a token."
        " Others: the secret of signed webhooks. Empty: no events are taken.",
    )
    events_api: EventsApi = Field(
        EventsApi(),
        title="Events API",
        description="The account with which collect-events asks the identity's provider for events."
        " Needed only where the provider cannot push them.",
    )

    @model_validator(mode="after")
    def _events_key_fits(self) -> Self:
        self.event_source("")
        return self

    @model_validator(mode="after")
    def _events_api_fits(self) -> Self:
        self.event_account("")
        return self

    @model_validator(mode="after")
    def _login_fits(self) -> Self:
        if self.oauth.is_used and self.password:
            raise ValueError("a login is a password or OAuth, not both: clear one of them")
        if bool(self.username) != bool(self.password or self.oauth.is_used):
            missing = "password" if self.username else "username"
            raise ValueError(
                f"a login is a username with its password, or with OAuth: add the {missing}"
            )
        if self.username and self.security is Security.NONE and not self.allow_plain_password:
            secret = "access token" if self.oauth.is_used else "password"
            raise ValueError(
                f"security is 'none', so the {secret} would travel in clear: choose 'starttls' or "
                "'tls', or set allow_plain_password on a network that you trust"
            )
        return self

    def to_connection(self, name: str) -> Connection:
        """The connection for the engine; `name` is the block's name, as in routes."""
        fields = {
            name: getattr(self, name) for name in type(self).model_fields if name not in _OF_EVENTS
        }
        password = self.password.get_secret_value() if self.password else None
        return Connection(**{**fields, "name": name, "password": password})

    def event_source(self, name: str, of_route: Provider | None = None) -> EventSource | None:
        """Where events about this connection come from; None if none are taken.

        `name` is the block's name, as in routes. `of_route` is the provider that campaigns choose
        for the connection; it counts where the block chooses none. Raises ValueError if the key
        does not fit.
        """
        if self.events_key is None:
            return None
        from mailsluice.operations.events.sources import EventSource  # reads keys of all providers

        provider = self.identity.provider or of_route or Provider.NONE
        return EventSource(name, provider, self.events_key.get_secret_value().strip())

    def event_account(self, name: str) -> EventAccount | None:
        """Return whom to ask for events about this connection; None if nobody is to be asked.

        `name` is the block's name, as in routes. Raises ValueError if the fields do not fit.
        """
        if not self.events_api.is_used:
            return None
        return EventAccount(name, self.identity.provider or Provider.NONE, self.events_api)
