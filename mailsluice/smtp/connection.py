"""How to reach one SMTP server: what a connection block holds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum

from mailsluice.campaign.warm_up import WarmUp
from mailsluice.smtp.oauth import OAuth


class Security(StrEnum):
    """How a session is encrypted."""

    NONE = "none"
    """Plain text: for a relay on the same machine or a trusted network."""
    STARTTLS = "starttls"
    """Plain greeting, then TLS or nothing (RFC 3207)."""
    TLS = "tls"
    """TLS from the first byte (RFC 8314)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One SMTP connection. Limits are trailing windows as the server sees them."""

    name: str
    host: str
    port: int
    security: Security = Security.STARTTLS
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    oauth: OAuth = field(default_factory=OAuth, repr=False)
    """Log in with an access token instead of a password."""
    allow_plain_password: bool = False
    """Send the password, or the token, over an unencrypted link all the same."""
    ca_file: str | None = None
    """PEM file of the CA to trust instead of the system's; certificates are always verified."""
    local_hostname: str | None = None
    """What EHLO says; the machine's name by default."""
    max_sessions: int = 4
    messages_per_session: int | None = None
    """Sessions are closed and opened anew after that many."""
    messages_in_flight: int = 1
    """How many messages may be under way in one session at once where the server offers CHUNKING
    and PIPELINING. More of them need fewer round trips; a link that breaks leaves all of them
    uncertain."""
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    warm_up: WarmUp = field(default_factory=WarmUp)
    timeout_seconds: float = 60.0


_TOLD = ("max_sessions", "messages_per_session", "messages_in_flight", "timeout_seconds")


def differences(before: Connection, after: Connection) -> list[str]:
    """What has changed, for a log: limits with their values, all else by its name alone."""
    found = []
    for name in (one.name for one in fields(Connection)):
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, OAuth):
            found += [f"oauth.{one}" for one in OAuth.model_fields if _differ(old, new, one)]
        elif old != new:
            found.append(f"{name} {_shown(old)} -> {_shown(new)}" if _is_told(name) else name)
    return found


def _differ(before: object, after: object, name: str) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def _is_told(name: str) -> bool:
    return name in _TOLD or name.startswith("per_")


def _shown(limit: float | None) -> str:
    return "none" if limit is None else f"{limit:g}"
