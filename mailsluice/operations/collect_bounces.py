"""Collecting bounces from a mailbox: read messages, match them to recipients, record, file away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from mailsluice.bounces import Bounce, BounceKind, kind_of
from mailsluice.bounces.collected import Collected, Fate, Line
from mailsluice.bounces.fetched import Fetched
from mailsluice.bounces.inbox import Inbox
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.matching import (
    SentTo,
    by_message_id,
    by_token,
    by_unsubscribe_token,
    candidates,
)
from mailsluice.bounces.notice import Sort
from mailsluice.bounces.reading import ReturnedMail, read
from mailsluice.core.errors import FetchRefusedError, MailboxError
from mailsluice.oauth.tokens import TokenSource
from mailsluice.operations.unsubscribe import unsubscribe
from mailsluice.store import Bounces, Database
from mailsluice.store.sent_mail import SentMail
from mailsluice.store.trouble import BAD_VALUE_ERRORS

BATCH = 100
"""Messages read and recorded together, each of at most `fetched.MAX_OCTETS`."""
_ERRORS_OF_A_MAIL: tuple[type[Exception], ...] = (
    FetchRefusedError,
    *BAD_VALUE_ERRORS,
    ValueError,
    TypeError,
    LookupError,
)
"""Errors that a single mail may cause. The loss of the database is not among them."""
_FATES = {BounceKind.HARD: Fate.HARD, BounceKind.SOFT: Fate.SOFT, None: Fate.NOT_THE_ADDRESS}


def collect(
    mailbox: MailboxAccount,
    database: Database,
    *,
    limit: int,
    source: str,
    goes_on: Callable[[], bool] = lambda: True,
    tokens: TokenSource | None = None,
) -> Collected:
    """Read up to `limit` messages that wait in the mailbox, the oldest first.

    Each message is recorded under a key of its own before it is filed away. So an interrupted run
    is continued by the next one, and no message counts twice.

    Args:
        mailbox: The mailbox's account.
        database: The state database.
        limit: The most messages to read.
        source: The origin that the records name.
        goes_on: Called before each batch; False stops.
        tokens: The access tokens of the run, for a mailbox with OAuth.

    Raises:
        MailboxError: The mailbox cannot be opened. Later errors are in the result's `trouble`.
    """
    collected = Collected()
    with Inbox(mailbox, tokens) as inbox:
        collecting = _Collecting(inbox, database, source, collected)
        try:
            waiting = inbox.waiting()
            collected.waiting = len(waiting)
            uids = islice(waiting, limit)
            while goes_on() and (batch := list(islice(uids, BATCH))):
                collecting.take(batch)
                collected.waiting -= len(batch)
        except MailboxError as error:
            collected.trouble = str(error)
    return collected


class _Collecting:
    def __init__(self, inbox: Inbox, database: Database, source: str, collected: Collected) -> None:
        self._inbox = inbox
        self._database = database
        self._sent = SentMail(database)
        self._bounces = Bounces(database)
        self._source = source
        self._collected = collected

    def take(self, uids: Sequence[str]) -> None:
        """Read these messages, record what they report, and file them away.

        A message that cannot be fetched or recorded is flagged and left in the folder. When a batch
        has such a message, its messages are taken one by one, so that all others are recorded.
        """
        try:
            self._settle(self._inbox.fetch(uids))
        except _ERRORS_OF_A_MAIL:
            if len(uids) > 1:
                for uid in uids:
                    self.take([uid])
                return
            self._inbox.flag(uids)
            self._collected.add(Fate.UNREADABLE)

    def _settle(self, mails: Sequence[Fetched]) -> None:
        read_mails = [read(mail.content) for mail in mails]
        recipients = self._match(read_mails)
        fates = [_fate(mail, to) for mail, to in zip(read_mails, recipients, strict=True)]
        bounces = [
            self._bounce(mail, returned, to, fate)
            for mail, returned, to, fate in zip(mails, read_mails, recipients, fates, strict=True)
            if to and fate in _KINDS
        ]
        recorded = self._bounces.record(bounces)
        self._collected.suppressed += recorded.suppressed
        self._collected.known_before += len(bounces) - recorded.new
        self._unsubscribe(
            [
                (to, mail.at)
                for mail, to, fate in zip(mails, recipients, fates, strict=True)
                if to and fate is Fate.UNSUBSCRIBED
            ]
        )
        for fate, to in zip(fates, recipients, strict=True):
            line = Line(to.campaign_id, to.campaign, to.connection) if to else None
            self._collected.add(fate, line)
        pairs = list(zip(mails, fates, strict=True))
        self._inbox.move_processed([mail.uid for mail, fate in pairs if not fate.is_left])
        self._inbox.flag([mail.uid for mail, fate in pairs if fate.is_left])

    def _unsubscribe(self, wishes: Sequence[tuple[SentTo, float]]) -> None:
        recorded = unsubscribe(self._database, wishes, self._source)
        self._collected.suppressed += recorded.suppressed
        self._collected.known_before += recorded.known

    def _match(self, mails: Sequence[ReturnedMail]) -> list[SentTo | None]:
        """The recipient that each message is about, found by one or two queries for all."""
        ids = {token.recipient_id for mail in mails for token in mail.traces.tokens}
        ids |= {mail.unsubscribe.recipient_id for mail in mails if mail.unsubscribe}
        by_id = {recipient.recipient_id: recipient for recipient in self._sent.by_id(ids)}
        matched = [
            by_unsubscribe_token(mail.unsubscribe, by_id)
            if mail.unsubscribe
            else by_token(mail.traces, by_id)
            for mail in mails
        ]
        rest = [mail.traces for mail, to in zip(mails, matched, strict=True) if to is None]
        emails = {email for traces in rest for email in candidates(traces)}
        domains = {domain for traces in rest for domain in traces.domains}
        known = self._sent.by_address(emails, domains)
        return [
            to or by_message_id(mail.traces, known) for mail, to in zip(mails, matched, strict=True)
        ]

    def _bounce(self, mail: Fetched, returned: ReturnedMail, to: SentTo, fate: Fate) -> Bounce:
        said = returned.notice.about(to.email)
        return Bounce(
            key=f"mail {returned.id} {to.recipient_id}",
            email=to.email,
            kind=_KINDS[fate],
            status=said.status if said else "",
            detail=said.text if said else "",
            source=self._source,
            at=mail.at,
            connection=to.connection,
            campaign_id=to.campaign_id,
            recipient_id=to.recipient_id,
        )


_KINDS = {
    Fate.HARD: BounceKind.HARD,
    Fate.SOFT: BounceKind.SOFT,
    Fate.COMPLAINT: BounceKind.COMPLAINT,
}


def _fate(mail: ReturnedMail, to: SentTo | None) -> Fate:
    """Decide about a message that concerns this recipient's mail, or no known mail."""
    sort = mail.notice.sort
    if sort is Sort.AUTO_REPLY:
        return Fate.AUTO_REPLY
    if sort is Sort.UNKNOWN:
        return Fate.UNKNOWN
    if to is None:
        return Fate.NOT_OURS
    if sort is Sort.COMPLAINT:
        return Fate.COMPLAINT
    if sort is Sort.UNSUBSCRIBE:
        return Fate.UNSUBSCRIBED
    said = mail.notice.about(to.email)
    if said is None or not said.is_final:
        return Fate.PASSING
    return _FATES[kind_of(said.code, said.status, said.text)]
