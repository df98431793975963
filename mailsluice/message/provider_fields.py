"""The header fields by which a provider's events name their recipient. Pure.

Each provider returns a piece of a message's header with the events of that message. The piece holds
a recipient token (`mailsluice.message.recipient_token`), never an address. Field names, forms and
limits are from the providers' documentation as of 2026:

- SendGrid, "Building an X-SMTPAPI header": one field of JSON, folded; a line has less than 1,000
  characters. `unique_args` come back in events.
- SparkPost, "SMTP API": JSON in X-MSYS-API. At most 1,000 bytes of `metadata` come back in events.
- Mailgun, "Attaching metadata to messages": a JSON map in X-Mailgun-Variables.
- Amazon SES, "MessageTag": `name=value` pairs, of letters, digits, `_` and `-`, at most 256 each.
  Events are published only with a configuration set.
- Postmark, "Custom metadata": a field for each value; names have at most 20 characters, values 80.
  X-PM-KeepID keeps our Message-ID, which Postmark would replace.
- Brevo, "X-Mailin-custom": text.
- Mailjet, "Custom headers for SMTP relay": text in X-MJ-CustomID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mailsluice.campaign.identity import Provider, SenderIdentity
from mailsluice.campaign.message import Header
from mailsluice.core.errors import MessageError
from mailsluice.message.body import LONGEST_LINE
from mailsluice.message.headers import fold
from mailsluice.message.recipient_token import LONGEST

NAME = "mailsluice"
"""The name that the token has in the provider's events."""
_TOKEN = "\0" * LONGEST
"""Stands for the token while fields are made."""
_RECIPIENTS = frozenset(("to", "cc", "bcc", "archive"))
"""Keys by which SendGrid and SparkPost send a mail to others than its recipient."""
_TAGS = re.compile(r"[\w-]{1,256}=[\w-]{1,256}(?:\s*,\s*[\w-]{1,256}=[\w-]{1,256}){0,48}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Profile:
    """The field of a provider that takes the token."""

    field: str
    value: Callable[[str | None], str]
    """Returns the field's value, from the value that the operator gives the field, if any."""
    beside: str = ""
    """Another field that every message needs there."""


def _json(*path: str) -> Callable[[str | None], str]:
    """Put the token at this path of a JSON object, beside what the operator has put there."""

    def value(given: str | None) -> str:
        whole = _object(given)
        if path and (named := _RECIPIENTS.intersection(whole)):
            raise ValueError(f'its "{min(named)}" would send every mail to others as well')
        inner = whole
        for key in path:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ValueError(f"its {key} has to be an object in braces")
        inner[NAME] = _TOKEN
        # Spaces are where the field can be folded.
        try:
            text = json.dumps(whole, separators=(", ", ": "), allow_nan=False)
        except ValueError:
            raise ValueError("a number in it is not finite") from None
        return text.replace(json.dumps(_TOKEN)[1:-1], _TOKEN)

    return value


def _object(given: str | None) -> dict[str, Any]:
    if given is None:
        return {}
    if "{{" in given or "{%" in given:
        raise ValueError("it cannot have variables: values could break its JSON")
    try:
        whole = json.loads(given)
    except ValueError:
        raise ValueError("it has to be JSON") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(whole, dict):
        raise ValueError("it has to be a JSON object in braces")
    return whole


def _tags(given: str | None) -> str:
    if given is None:
        return f"{NAME}={_TOKEN}"
    if not _TAGS.fullmatch(given):
        raise ValueError("it has to be up to 49 pairs as in campaign=spring, segment=a")
    if NAME in (pair.partition("=")[0].strip() for pair in given.split(",")):
        raise ValueError(f"the tag {NAME} is the token's: name yours otherwise")
    return f"{given}, {NAME}={_TOKEN}"


def _alone(value: str) -> Callable[[str | None], str]:
    def only(given: str | None) -> str:
        if given is not None:
            raise ValueError("it holds the token alone")
        return value

    return only


PROFILES = {
    Provider.SENDGRID: Profile("X-SMTPAPI", _json("unique_args")),
    Provider.SPARKPOST: Profile("X-MSYS-API", _json("metadata")),
    Provider.MAILGUN: Profile("X-Mailgun-Variables", _json()),
    Provider.SES: Profile("X-SES-MESSAGE-TAGS", _tags),
    Provider.POSTMARK: Profile(f"X-PM-Metadata-{NAME}", _alone(_TOKEN), "X-PM-KeepID: true\r\n"),
    Provider.BREVO: Profile("X-Mailin-custom", _alone(f"{NAME}:{_TOKEN}")),
    Provider.MAILJET: Profile("X-MJ-CustomID", _alone(_TOKEN)),
}
_SETTINGS = {
    "configuration_set": (Provider.SES, "X-SES-CONFIGURATION-SET"),
    "message_stream": (Provider.POSTMARK, "X-PM-Message-Stream"),
}


@dataclass(frozen=True, slots=True)
class ProviderFields:
    """A provider's fields; `taken` are the operator's headers that became part of them."""

    fixed: str = ""
    """The fields that are the same for every recipient."""
    around_token: tuple[str, ...] = ()
    """The pieces of the other fields, between which the token goes; none without a provider."""
    taken: frozenset[str] = frozenset()
    """Names in small letters."""


def provider_fields(identity: SenderIdentity, headers: Sequence[Header]) -> ProviderFields:
    """Make the fields of the identity's provider.

    Args:
        identity: The identity of a connection.
        headers: All extra headers of the message there: its own and those of the identity.

    Raises:
        MessageError: A header has the name of a provider's field and cannot be combined with it,
            or a setting belongs to another provider.
    """
    given = {header.name.lower(): header for header in headers}
    fixed = "".join(_settings(identity, given))
    profile = PROFILES.get(identity.provider or Provider.NONE)
    if profile is None:
        return ProviderFields(fixed)
    if profile.beside and profile.beside.partition(":")[0].lower() not in given:
        fixed += profile.beside
    own = [header for header in headers if header.name.lower() == profile.field.lower()]
    try:
        if len(own) > 1:
            raise ValueError("it is listed twice: merge the two")
        value = profile.value(own[0].value if own else None)
        text = fold(profile.field, value)
        if max(map(len, text.split("\r\n"))) > LONGEST_LINE:
            raise ValueError("it has more than 998 characters without a space: shorten it")
    except ValueError as error:
        raise MessageError(
            f"header {profile.field}: the provider {identity.provider} gets the recipient's token"
            f" in it, and {error}. Correct the header, or leave it out"
        ) from None
    return ProviderFields(
        fixed, tuple(text.split(_TOKEN)), frozenset(header.name.lower() for header in own)
    )


def _settings(identity: SenderIdentity, given: dict[str, Header]) -> list[str]:
    """Return the fields that say what the provider does with the mail."""
    fields = []
    for setting, (provider, name) in _SETTINGS.items():
        if (value := getattr(identity, setting)) is None:
            continue
        if identity.provider is not provider:
            raise MessageError(
                f"{setting} is for the provider {provider}: choose that provider in the identity,"
                f" or clear {setting}"
            )
        if name.lower() in given:
            raise MessageError(
                f"header {name} is set by {setting}: leave the header out, or clear {setting}"
            )
        fields.append(f"{name}: {value}\r\n")
    return fields
