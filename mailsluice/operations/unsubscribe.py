"""Unsubscribing recipients who ask for it by a click or a mail, as their token proves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from mailsluice.bounces.matching import SentTo
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.message.unsubscribing import UnsubscribeToken
from mailsluice.operations.events.matching import BY_TOKEN
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries, Received, Recorded
from mailsluice.store.sent_mail import SentMail


def recipient_of(database: Database, text: str) -> SentTo | None:
    """Return the recipient whom a token names; None if the token is not genuine, or too old.

    A token is too old when its campaign is archived: then the database has neither the address nor
    the secret that could prove the token.
    """
    token = UnsubscribeToken.parse(text)
    for to in SentMail(database).by_id([token.recipient_id]) if token else ():
        if token and token.is_genuine(to.return_key):
            return to
    return None


def unsubscribe(
    database: Database, recipients: Iterable[tuple[SentTo, float]], source: str
) -> Recorded:
    """Suppress recipients, and record it in the deliveries of their messages.

    A recipient unsubscribes from a message once; to ask again changes nothing, unless the address
    was removed from the suppression list in between.

    Args:
        database: The state database.
        recipients: Who asks, and when, in seconds since the epoch.
        source: The source that the suppression list shows.
    """
    recorded = Recorded()
    ordered = sorted(recipients, key=lambda pair: (pair[0].connection, pair[0].recipient_id))
    for connection, pairs in groupby(ordered, key=lambda pair: pair[0].connection):
        asked = list(pairs)
        recorded += Deliveries(database).record(
            connection,
            [Received(_event(to, at), to, BY_TOKEN) for to, at in asked],
            [Suppression(to.email, SuppressionReason.UNSUBSCRIBED, source) for to, _ in asked],
        )
    return recorded


def _event(to: SentTo, at: float) -> ProviderEvent:
    return ProviderEvent(f"unsubscribed {to.recipient_id}", DeliveryState.UNSUBSCRIBED, at)
