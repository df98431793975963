"""Find the recipients that events are about, with two queries for all of them.

A token proves its recipient, and so does a Message-ID of ours. Otherwise the address counts, if one
message alone went to it over this connection in the time before: the request is proven to come from
the provider, but an address does not say which of several messages the event is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mailsluice.bounces.matching import SentTo, by_message_id
from mailsluice.bounces.traces import traces
from mailsluice.core.folding import folded
from mailsluice.events.event import ProviderEvent
from mailsluice.message.recipient_token import RecipientToken
from mailsluice.store import Database
from mailsluice.store.deliveries import GONE, Received
from mailsluice.store.sent_mail import SentMail

BY_TOKEN = "token"  # noqa: S105 a word
BY_MESSAGE_ID = "Message-ID"
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
    rest = [event for event, to in zip(events, found, strict=True) if to is None and event.email]
    named = _by_address(sent, connection, rest)
    results = []
    for event, token, to in zip(events, tokens, found, strict=True):
        result = Received(event, to, BY_TOKEN)
        if to is None:
            result = _by_name(event, named.get(folded(event.email), ()))
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
) -> Mapping[str, list[tuple[SentTo, float]]]:
    """Return what was sent to the addresses of these events, by folded address, and when."""
    named: dict[str, list[tuple[SentTo, float]]] = defaultdict(list)
    if events:
        times = [event.at for event in events]
        since, until = min(times) - WINDOW_SECONDS, max(times) + _CLOCKS_DIFFER_SECONDS
        for to, at in sent.over(connection, {event.email for event in events}, since, until):
            named[folded(to.email)].append((to, at))
    return named


def _by_name(event: ProviderEvent, candidates: Sequence[tuple[SentTo, float]]) -> Received:
    since, until = event.at - WINDOW_SECONDS, event.at + _CLOCKS_DIFFER_SECONDS
    proven = by_message_id(
        traces(event.message_id.encode("ascii", "replace"), (event.email,)),
        [to for to, _ in candidates],
    )
    if proven:
        return Received(event, proven, BY_MESSAGE_ID)
    # The query was for the times of all events together.
    mine = [to for to, at in candidates if since <= at <= until]
    if len(mine) == 1:
        return Received(event, mine[0], BY_ADDRESS)
    return Received(event, None, AMBIGUOUS if mine else FOREIGN)
