"""An SMTP connection: the server's address, the login, and the limits."""

from __future__ import annotations

from dataclasses import field, fields
from enum import StrEnum

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from mailsluice.campaign.identity import SenderIdentity
from mailsluice.campaign.throttle import ProviderThrottles
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import limits, refuse_no_calendar
from mailsluice.oauth.client import OAuth
from mailsluice.smtp.dkim.settings import Dkim


class Security(StrEnum):
    """The encryption of a session."""

    NONE = "none"
    """No encryption: for a relay on the same machine or a trusted network."""
    STARTTLS = "starttls"
    """A plain greeting, and then TLS, without which the session fails (RFC 3207)."""
    TLS = "tls"
    """TLS from the first byte (RFC 8314)."""


# Checked, because a `security` of another type would be taken for one of the encryptions.
@dataclass(frozen=True, slots=True, config=ConfigDict(hide_input_in_errors=True))
class Connection:
    """An SMTP connection. Limits hold at the server, in trailing windows or by calendar.

    Raises pydantic's ValidationError, which is a ValueError, for a wrong value.
    """

    name: str
    host: str
    port: int
    security: Security = Security.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuth = field(default_factory=OAuth, repr=False)
    """The client for logging in with an access token instead of a password."""
    allow_plain_password: bool = False
    """Whether the password, or the token, may be sent over an unencrypted link."""
    ca_file: str | None = None
    """PEM file of the CA to trust instead of the system's; certificates are always verified."""
    local_hostname: str | None = None
    """The name in EHLO; by default, the machine's name."""
    max_sessions: int = 4
    max_sessions_per_host: int | None = None
    """The most sessions of all connections to the same host that have this limit."""
    messages_per_session: int | None = None
    """Messages after which a session is closed and another one opened."""
    messages_in_flight: int = 1
    """The most messages in flight in a session, if the server offers CHUNKING and PIPELINING. More
    messages in flight need fewer round trips, but a link that breaks leaves all of them
    uncertain."""
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    per_week: int | None = None
    per_calendar_day: int | None = None
    """A quota that resets at `day_begins_at`, an hour in `calendar_timezone`."""
    day_begins_at: int = 0
    per_month: int | None = None
    """A quota that resets at midnight on `month_begins_on`, a day up to the 28th."""
    month_begins_on: int = 1
    calendar_timezone: str | None = None
    """The time zone in which days and months begin; None: UTC."""
    per_provider: ProviderThrottles = ()
    """The limits of the mail to single mailbox providers."""
    warm_up: WarmUp = field(default_factory=WarmUp)
    timeout_seconds: float = 60.0
    cool_down_seconds: int | None = None
    """How long the connection rests after failures; None: 30 seconds, or until an unreachable
    server answers again."""
    cool_down_after: int | None = None
    """The failures in a row after which the connection rests; None: 6."""
    identity: SenderIdentity = field(default_factory=SenderIdentity)
    """The sender and provider of the mail; a campaign's route may override them."""
    dkim: Dkim = field(default_factory=Dkim, repr=False)
    """The keys with which its mail is signed."""

    @property
    def host_key(self) -> str:
        """The host as it is compared with those of other connections."""
        return host_key(self.host)

    def secrets(self) -> list[str]:
        """Return the values that must not be shown."""
        return [*filter(None, [self.password]), *self.oauth.secrets()]

    def __post_init__(self) -> None:
        _refuse_nothing(self)
        refuse_no_calendar(self)


_SHOWN = (
    "max_sessions",
    "max_sessions_per_host",
    "messages_per_session",
    "messages_in_flight",
    "day_begins_at",
    "month_begins_on",
    "timeout_seconds",
    "cool_down_seconds",
    "cool_down_after",
)

_COUNTS = (
    "max_sessions",
    "max_sessions_per_host",
    "messages_per_session",
    "messages_in_flight",
    "per_second",
    "per_minute",
    "per_hour",
    "per_day",
    "per_week",
    "per_calendar_day",
    "per_month",
    "cool_down_after",
)


def _refuse_nothing(connection: Connection) -> None:
    for name in _COUNTS:
        count = getattr(connection, name)
        if count is not None and count < 1:
            raise ValueError(
                f"{name} of connection {connection.name!r} is {count}: give 1 or more, or leave it"
                " out"
            )


def host_key(host: str) -> str:
    """Return a host as it is compared with others."""
    return host.lower().rstrip(".")


def differences(before: Connection, after: Connection) -> list[str]:
    """List the changes for a log: limits with their values, all other fields only by name."""
    changes = []
    for name in (attribute.name for attribute in fields(Connection)):
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, OAuth | Dkim):
            parts = [part for part in type(old).model_fields if _differ(old, new, part)]
            changes += [f"{name}.{part}" for part in parts]
        elif isinstance(old, SenderIdentity):
            parts = [
                f"identity.{part}" for part in type(old).model_fields if _differ(old, new, part)
            ]
            changes += [f"{part} (from the next run on)" for part in parts]
        elif old != new:
            values = f" {_shown(old)} -> {_shown(new)}" if _is_shown(name) else ""
            changes.append(f"{name}{values}")
    return changes


def _differ(before: object, after: object, name: str) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def _is_shown(name: str) -> bool:
    return name in _SHOWN or name.startswith("per_")


def _shown(value: float | ProviderThrottles | None) -> str:
    if isinstance(value, tuple):
        return (
            ", ".join(f"{entry.provider} {limit}" for entry in value for limit in limits(entry))
            or "none"
        )
    return "none" if value is None else f"{value:.15g}"
