"""Lines of JSON in the forms of providers' webhooks, as exports and log streams have them. Pure.

A line has one event or an array of them. Wrappers that a provider's webhook, Amazon SNS or an API
puts around an event are taken off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from mailsluice.campaign.identity import Provider
from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import ProviderEvent
from mailsluice.events.exported import content_key
from mailsluice.events.fields import Fields, UnreadableEventError, items, json_of
from mailsluice.events.providers import (
    brevo,
    generic,
    mailgun,
    mailjet,
    postmark,
    sendgrid,
    ses,
    sparkpost,
)

_READERS: Mapping[Provider, Callable[[Fields], ProviderEvent | Iterable[ProviderEvent] | None]] = {
    Provider.SENDGRID: sendgrid.event_of,
    Provider.SES: ses.events_of,
    Provider.SPARKPOST: sparkpost.event_of,
    Provider.MAILGUN: mailgun.event_of,
    Provider.POSTMARK: postmark.event_of,
    Provider.BREVO: brevo.event_of,
    Provider.MAILJET: mailjet.event_of,
    Provider.NONE: generic.event_of,
}
_IDS = {
    Provider.SENDGRID: "sg_event_id",
    Provider.SPARKPOST: "event_id",
    Provider.MAILGUN: "id",
    Provider.NONE: "key",
}
"""The field with the id of an event; the readers of the other providers make one."""


def read_line(line: bytes, provider: Provider) -> Batch:
    """Read the events of a line. Raises UnreadableEventError if it is not JSON."""
    elements = (_unwrapped(value, provider) for value in items(json_of(line), MAX_EVENTS))
    read = _READERS[provider]
    return batch_of((_named(value, provider) for value in elements), read)


def _unwrapped(value: Any, provider: Provider) -> Any:
    if not isinstance(value, dict):
        return value
    match provider:
        case Provider.SPARKPOST if isinstance(inner := value.get("msys"), dict):
            return next(iter(inner.values()), None)
        case Provider.MAILGUN if "event-data" in value:
            return value["event-data"]
        case Provider.SES if isinstance(message := value.get("Message"), str):
            try:
                return json_of(message.encode())
            except UnreadableEventError:
                return None
        case _:
            return value


def _named(value: Any, provider: Provider) -> Any:
    """Give an event without an id one that depends on its content."""
    name = _IDS.get(provider)
    if name is None or not isinstance(value, dict) or value.get(name):
        return value
    return {**value, name: content_key(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))}
