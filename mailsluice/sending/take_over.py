"""What a dead sender had claimed, settled by those that live."""

from __future__ import annotations

import logging
from pathlib import Path

from mailsluice.campaign import UncertainPolicy
from mailsluice.journal import Journal, JournalBusyError
from mailsluice.outbox import Database, Outbox, SenderRecord, Senders
from mailsluice.sending.recovery import recover

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
) -> int:
    """Settle what the campaign's dead senders, this one left out, had claimed. Blocking.

    One of this machine is dead when nobody holds its journal, which then tells who may have got the
    mail. One of another machine is dead when its lease has run out; whoever it had claimed may have
    got the mail. Returns how many were dead.
    """
    living = Senders(database, campaign_id).living()
    others = [one for one in living if one.id != sender_id]
    return sum(_taken_over(database, campaign_id, folder, policy, one) for one in others)


def _taken_over(
    database: Database,
    campaign_id: int,
    folder: Path,
    policy: UncertainPolicy,
    sender: SenderRecord,
) -> bool:
    path = journal_path(folder, sender.journal)
    journal = _abandoned(path)
    if journal is None and not sender.is_expired:
        return False
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


def _abandoned(path: Path) -> Journal | None:
    """The journal of a process of this machine that is gone."""
    if not path.exists():
        return None
    try:
        return Journal(path)
    except JournalBusyError:
        return None
