"""Find dead senders of a campaign, and settle the recipients that they had claimed."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.steady import steady
from mailsluice.delivery.journal import Journal, JournalBusyError
from mailsluice.delivery.recovery import recover
from mailsluice.delivery.rule_book import bequeath
from mailsluice.delivery.silence import Silence
from mailsluice.store import Database, Outbox, SenderRecord, Senders
from mailsluice.store.leases import AGREE_SECONDS, LEASE_SECONDS

logger = logging.getLogger(__name__)


def journal_path(folder: Path, journal_id: str) -> Path:
    """The path of a sender's journal on the machine of that sender."""
    return folder / f"sender-{journal_id}.journal"


def take_over(
    database: Database,
    campaign_id: int,
    folder: Path,
    policy: UncertainPolicy,
    sender_id: int | None = None,
    silence: Silence | None = None,
) -> int:
    """Settle the recipients that dead senders of a campaign had claimed. Blocking.

    A sender of this machine is dead when no process holds its journal, which then tells whose
    message may have been sent. A sender of another machine is dead when its lease has expired, by a
    database clock that agrees with this machine's, or has not changed for as long as a lease holds;
    then every recipient that it had claimed may have got the message.

    Args:
        database: The state database.
        campaign_id: The campaign's id.
        folder: The journals of this machine.
        policy: What becomes of recipients in doubt.
        sender_id: The calling sender, which is left out.
        silence: Since when each lease is unchanged, kept from call to call.

    Returns:
        How many senders were dead.
    """
    senders = Senders(database, campaign_id)
    others = [sender for sender in senders.living() if sender.id != sender_id]
    if not others:
        return 0
    clocks_agree = abs(senders.moment() - time.time()) < AGREE_SECONDS
    dead = 0
    for sender in others:
        unchanged = (silence or Silence()).seconds(sender.id, sender.lease_until, steady())
        is_silent = unchanged is not None and unchanged > LEASE_SECONDS
        path = journal_path(folder, sender.journal)
        journal, is_locked = _abandoned(path)
        if journal or is_silent or (sender.is_expired and clocks_agree and not is_locked):
            dead += _taken_over(database, campaign_id, path, policy, sender, journal)
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
                bequeath(database, transaction, campaign_id, sender.connection, evidence)
    finally:
        if journal:
            journal.close()
    if journal:  # not needed again, whichever process has settled its recipients
        path.unlink(missing_ok=True)
    if recovery is not None:
        logger.warning("a sender over %s has died: %s", sender.connection, recovery)
    return recovery is not None


def _abandoned(path: Path) -> tuple[Journal | None, bool]:
    """The journal, if the process that held it is gone; and whether a living process holds it."""
    if not path.exists():
        return None, False
    try:
        journal = Journal(path)
    except JournalBusyError:
        return None, True
    if journal.is_own_file:
        return journal, False
    journal.close()  # a copy: the process may still hold the original
    return None, False
