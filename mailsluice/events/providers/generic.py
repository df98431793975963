"""Events in Mailsluice's own format, for providers and servers that it does not know. Pure.

A request is `{"events": [{...}]}`. The fields of an event are those of `ProviderEvent`; `key`,
`state`, `at` and one of `token`, `message_id`, `provider_id` and `email` have to be there.
"""

from __future__ import annotations

from mailsluice.events.batch import MAX_EVENTS, Batch, batch_of
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.failures import failure_of
from mailsluice.events.fields import Fields, UnreadableEventError, items, json_of


def read(body: bytes) -> Batch:
    """Read a request. Raises UnreadableEventError if it has not the form of one."""
    request = Fields(json_of(body), "the request")
    if "events" not in request:
        raise UnreadableEventError('the request has no "events"')
    return batch_of(items(request["events"], MAX_EVENTS), event_of)


def _failure(named: str, reply: str, status: str) -> tuple[FailureKind, str]:
    """Judge by the reply if no kind is named; a bounce without either is soft."""
    if named not in ("", *FailureKind):
        raise UnreadableEventError("failure is unknown")
    has_reason = bool(reply or status)
    is_permanent = named == FailureKind.HARD or (not named and has_reason)
    failure, status = failure_of(is_permanent=is_permanent, reply=reply, status=status)
    return (FailureKind.BLOCK if named == FailureKind.BLOCK else failure), status


def event_of(fields: Fields) -> ProviderEvent | None:
    """Read one event; None if its state is unknown."""
    try:
        state = DeliveryState(fields.text("state"))
    except ValueError:
        return None
    reply, status = fields.text("reply"), fields.text("status")
    failure = None
    if state is DeliveryState.BOUNCED:
        failure, status = _failure(fields.text("failure"), reply, status)
    return ProviderEvent(
        key=fields.needed("key"),
        state=state,
        at=fields.moment("at"),
        email=fields.text("email"),
        token=fields.text("token"),
        message_id=fields.text("message_id"),
        provider_id=fields.text("provider_id"),
        failure=failure,
        status=status,
        reply=reply,
        mailbox_provider=fields.text("mailbox_provider"),
    )
