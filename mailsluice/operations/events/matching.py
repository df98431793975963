"""Find the recipients that events are about, with at most three queries for all of them.

A token proves its recipient, and so do a Message-ID of ours together with the address, and the id
that the provider gave in its reply to the message. Otherwise the address counts, if one message
alone went to it over this connection in the time before: the request is proven to come from the
provider, but an address does not say which of several messages the event is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mailsluice.bounces.matching import SentTo, by_message_id
from mailsluice.bounces.traces import traces
from mailsluice.core.folding import folded
from mailsluice.core.reply_id import reply_id
from mailsluice.events.event import ProviderEvent
from mailsluice.message.recipient_token import RecipientToken
from mailsluice.store import Database
from mailsluice.store.deliveries import GONE, Received
from mailsluice.store.sent_mail import SentMail, SentMessage

BY_TOKEN = "token"  # noqa: S105 a word
BY_MESSAGE_ID = "Message-ID"
BY_PROVIDER_ID = "provider's id"
BY_ADDRESS = "address"
FOREIGN = "about no message of ours"
AMBIGUOUS = "about one of several messages to an address"

WINDOW_SECONDS = 30 * 86_400.0
"""How long before an event its message can have been accepted, where there is no token."""
_CLOCKS_DIFFER_SECONDS = 3_600.0


def match(database: Database, connection: str, events: Sequence[ProviderEvent]) -> list[Received]:
    """Find the recipient of each event; the result has the order of `events`."""
    sent = SentMail(database)
    tokens = [RecipientToken.parse(event.token) if event.token else None for event in events]
    by_id = {to.recipient_id: to for to in sent.by_id({t.recipient_id for t in tokens if t})}
    found = [_by_token(token, by_id) for token in tokens]
    rest = [event for event, to in zip(events, found, strict=True) if to is None]
    named = _by_address(sent, connection, [event for event in rest if event.email])
    called = _by_provider_id(sent, connection, [event for event in rest if not event.email])
    results = []
    for event, token, to in zip(events, tokens, found, strict=True):
        result = Received(event, to, BY_TOKEN)
        if to is None:
            known = named.get(folded(event.email), ()) if event.email else called.get(event.key, ())
            result = _by_name(event, known)
            if result.to is None and token and token.recipient_id not in by_id:
                result = Received(event, None, GONE)
        results.append(result)
    return results


def _by_token(token: RecipientToken | None, by_id: Mapping[int, SentTo]) -> SentTo | None:
    to = by_id.get(token.recipient_id) if token else None
    is_genuine = to and token and token.is_genuine(to.campaign, to.email, to.return_key)
    return to if is_genuine else None


def _by_address(
    sent: SentMail, connection: str, events: Sequence[ProviderEvent]
) -> Mapping[str, list[SentMessage]]:
    """Return what was sent to the addresses of these events, by folded address."""
    named: dict[str, list[SentMessage]] = defaultdict(list)
    if events:
        emails = {event.email for event in events}
        for message in sent.over(connection, emails, *_window(events)):
            named[folded(message.to.email)].append(message)
    return named


def _by_provider_id(
    sent: SentMail, connection: str, events: Sequence[ProviderEvent]
) -> Mapping[str, list[SentMessage]]:
    """Return the messages with the ids of these events, which have no address, by event."""
    ids = {event.key: _ids(event) for event in events if _ids(event)}
    if not ids:
        return {}
    called = sent.with_reply_ids(connection, set().union(*ids.values()), *_window(events))
    return {
        key: [one for name in names for one in called.get(name, ())] for key, names in ids.items()
    }


def _ids(event: ProviderEvent) -> set[str]:
    """Return the ids that the provider may have given the message in its reply."""
    return {event.provider_id, event.message_id.strip("<>")} - {""}


def _window(events: Sequence[ProviderEvent]) -> tuple[float, float]:
    """Return the time in which the messages of these events can have been settled."""
    times = [event.at for event in events]
    return min(times) - WINDOW_SECONDS, max(times) + _CLOCKS_DIFFER_SECONDS


def _by_name(event: ProviderEvent, candidates: Sequence[SentMessage]) -> Received:
    since, until = _window([event])
    proven = by_message_id(
        traces(event.message_id.encode("ascii", "replace"), (event.email,)),
        [message.to for message in candidates],
    )
    if proven:
        return Received(event, proven, BY_MESSAGE_ID)
    # The query was for the times of all events together.
    within = [message for message in candidates if since <= message.at <= until]
    ids = _ids(event)
    called = [message.to for message in within if reply_id(message.reply) in ids]
    if len(called) == 1:
        return Received(event, called[0], BY_PROVIDER_ID)
    mine = [message.to for message in within] if event.email else []
    if len(mine) == 1:
        return Received(event, mine[0], BY_ADDRESS)
    return Received(event, None, AMBIGUOUS if mine else FOREIGN)
