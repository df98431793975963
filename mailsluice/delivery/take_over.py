"""What a dead sender had claimed, settled by those that live."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.steady import steady
from mailsluice.delivery.journal import Journal, JournalBusyError
from mailsluice.delivery.recovery import recover
from mailsluice.delivery.silence import Silence
from mailsluice.store import Database, Outbox, SenderRecord, Senders
from mailsluice.store.leases import AGREE_SECONDS, LEASE_SECONDS

logger = logging.getLogger(__name__)


def journal_path(folder: Path, journal_id: str) -> Path:
    """Where the journal of a sender is, on its machine."""
    return folder / f"sender-{journal_id}.journal"


def take_over(
    database: Database,
    campaign_id: int,
    folder: Path,
    policy: UncertainPolicy,
    sender_id: int | None = None,
    silence: Silence | None = None,
) -> int:
    """Settle what the campaign's dead senders, this one left out, had claimed. Blocking.

    One of this machine is dead when nobody holds its journal, which then tells who may have got the
    mail. One of another machine is dead when its lease has run out, by a database's clock that
    agrees with this machine's, or when it has been silent for as long as a lease holds; whoever it
    had claimed may have got the mail. Returns how many were dead.

    `silence` remembers, from call to call, who was heard of when.
    """
    senders = Senders(database, campaign_id)
    others = [one for one in senders.living() if one.id != sender_id]
    if not others:
        return 0
    agree = abs(senders.moment() - time.time()) < AGREE_SECONDS
    dead = 0
    for one in others:
        silent = (silence or Silence()).seconds(one.id, one.lease_until, steady())
        is_silent = silent is not None and silent > LEASE_SECONDS
        path = journal_path(folder, one.journal)
        journal, is_locked = _abandoned(path)
        if journal or is_silent or (one.is_expired and agree and not is_locked):
            dead += _taken_over(database, campaign_id, path, policy, one, journal)
    return dead


def _taken_over(
    database: Database,
    campaign_id: int,
    path: Path,
    policy: UncertainPolicy,
    sender: SenderRecord,
    journal: Journal | None,
) -> bool:
    outbox, recovery = Outbox(database, campaign_id, sender.id), None
    try:
        with database.write() as transaction:
            if Senders(database, campaign_id).lose(transaction, sender.id):
                evidence = journal.evidence if journal else None
                recovery = recover(outbox.in_doubt(transaction), evidence, policy)
                recovery.write(outbox, transaction)
    finally:
        if journal:
            journal.close()
    if journal:  # nobody will ask it again, whoever was first
        path.unlink(missing_ok=True)
    if recovery is not None:
        logger.warning("a sender over %s is dead: %s", sender.connection, recovery)
    return recovery is not None


def _abandoned(path: Path) -> tuple[Journal | None, bool]:
    """The journal of a process of this machine that is gone; and whether a living one holds it."""
    if not path.exists():
        return None, False
    try:
        journal = Journal(path)
    except JournalBusyError:
        return None, True
    if journal.is_own_file:
        return journal, False
    journal.close()  # a copy of the one that it may still hold
    return None, False
