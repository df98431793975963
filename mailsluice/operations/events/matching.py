"""Find the recipients that events are about, with a few queries for all of them.

A token proves its recipient, and so do a Message-ID of ours together with the address, and the id
that the provider gave in its reply to the message. Otherwise the address counts, if one accepted
message alone went to it over this connection in the time before: the request is proven to come from
the provider, but an address does not say which of several messages the event is about.

Where each message carries a token, an event with nothing but an address is about another program's
mail over the same account. It may neither change a delivery nor suppress anybody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mailsluice.bounces.matching import SentTo, by_message_id
from mailsluice.bounces.traces import traces
from mailsluice.core.folding import folded
from mailsluice.core.reply_id import reply_id
from mailsluice.events.event import ProviderEvent
from mailsluice.message.recipient_token import RecipientToken
from mailsluice.store import Database
from mailsluice.store.archives import Archives
from mailsluice.store.deliveries import GONE, Received
from mailsluice.store.sent_mail import SentMail, SentMessage

BY_TOKEN = "token"  # noqa: S105 a word
BY_MESSAGE_ID = "Message-ID"
BY_PROVIDER_ID = "provider's id"
BY_ADDRESS = "address"
FOREIGN = "about no message of ours"
AMBIGUOUS = "about one of several messages to an address"
WITHOUT_TOKEN = "about an address, without the token of our messages"  # noqa: S105 a reason

WINDOW_SECONDS = 30 * 86_400.0
"""How long before an event its message can have been accepted, where there is no token."""
_CLOCKS_DIFFER_SECONDS = 3_600.0


def match(
    database: Database,
    connection: str,
    events: Sequence[ProviderEvent],
    *,
    have_tokens: bool = False,
) -> list[Received]:
    """Find the recipient of each event; the result has the order of `events`.

    Args:
        database: The state database.
        connection: The connection whose provider reports the events.
        events: The events.
        have_tokens: Whether the connection's messages carry tokens, so that an address alone
            matches nobody.
    """
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
            # An event with a token is about that message, and not about another one to the address.
            result = _by_name(event, known, have_tokens=have_tokens or token is not None)
            if result.to is None and token and token.recipient_id not in by_id:
                result = Received(event, None, GONE)
        results.append(result)
    return _without_archived(database, results)


def _without_archived(database: Database, results: Sequence[Received]) -> list[Received]:
    """Take recipients away whose rows are in an archive, though perhaps not deleted yet."""
    archived = Archives(database).among({item.to.campaign_id for item in results if item.to})
    return [
        Received(replace(item.event, email=item.to.email), None, GONE)
        if item.to and item.to.campaign_id in archived
        else item
        for item in results
    ]


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


def _by_name(
    event: ProviderEvent, candidates: Sequence[SentMessage], *, have_tokens: bool
) -> Received:
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
    if not event.email or not within:
        return Received(event, None, FOREIGN)
    if have_tokens:
        return Received(event, None, WITHOUT_TOKEN)
    # A message whose reply was lost may not have been accepted: the event may be about another one.
    if len(within) == 1 and within[0].is_certain:
        return Received(event, within[0].to, BY_ADDRESS)
    return Received(event, None, AMBIGUOUS)
