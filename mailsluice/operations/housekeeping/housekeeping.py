"""Archive old campaigns into files, one after the other, in steps that survive a kill.

Housekeeping holds a campaign's lease while it writes, syncs, reads back and records an archive.
Nothing changes the campaign after that. Its rows are then deleted by the keys in the files, so
every deleted row is in a file. The campaign's own row stays, so that its name cannot be sent again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.files import FileError, writable
from mailsluice.delivery.lease import Lease
from mailsluice.operations.housekeeping.clearing import clear
from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.kept import Done, Kept
from mailsluice.operations.housekeeping.retention import due
from mailsluice.operations.housekeeping.verifying import verify_kept, verify_written
from mailsluice.operations.housekeeping.writing import GoesOn, write
from mailsluice.reports.deliveries.queries import count_providers
from mailsluice.store import Database, Leases
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_age import CampaignAge
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.mail_domains import MailDomains
from mailsluice.store.packing import pack, unpacked
from mailsluice.store.seeds import Seeds
from mailsluice.store.trouble import DatabaseError, told


def _never_stop() -> None:
    """Go on at once."""


def keep_house(
    database: Database,
    *,
    keep_days: int,
    folder: Path | None,
    owner: str,
    goes_on: GoesOn = _never_stop,
) -> Kept:
    """Archive the campaigns that ended more than `keep_days` days ago, and delete their rows.

    Campaigns are archived one after the other, the oldest first; a campaign that cannot be archived
    does not stop the others. An interrupted run is continued by the next one. The tables of younger
    campaigns that have ended are packed (`mailsluice.store.packing`). Events of providers that are
    as old as the archived campaigns are deleted; what they said of deliveries stays. So are seed
    tests of that age, and answers of name servers that have expired.

    Args:
        database: The state database.
        keep_days: Days for which a campaign stays in the database after its end.
        folder: The folder of the archives. None writes and deletes nothing: the result then says
            what would be archived.
        owner: The name of this run, for other runs that want to send the same campaign.
        goes_on: Called between two short transactions. The function may wait, to leave the database
            to runs that send, or raise, to stop.

    Raises:
        HousekeepingError: The folder does not exist, or archives may not be written there.
    """
    todo = due(list(Archives(database).campaign_ages()), database.moment().timestamp(), keep_days)
    result = partial(
        Kept, keep_days, folder is None, len(todo.due), stale=todo.stale, archived=todo.archived
    )
    packed: list[Done] = []
    if folder is None:
        done = [Done(campaign) for campaign in todo.due]
    else:
        folder = _checked(folder)
        done = [_archive(database, campaign, folder, owner, goes_on) for campaign in todo.due]
        packed = _pack(database, todo.settled, owner, goes_on)
        before = database.moment().timestamp() - keep_days * 86_400
        while _forget(database, before):
            goes_on()
    return result(done=done, packed=packed, free_bytes=database.free_bytes())


def _forget(database: Database, before: float) -> bool:
    """Delete some old rows that belong to no campaign; False when none is left."""
    return bool(
        Deliveries(database).forget(before)
        or MailDomains(database).forget()
        or Seeds(database).forget(before)
    )


def _checked(folder: Path) -> Path:
    try:
        folder = writable(folder)
    except FileError as error:
        raise HousekeepingError(f"archives cannot be written under {folder}: {error}") from None
    if not folder.is_dir():
        raise HousekeepingError(
            f"there is no folder {folder} on the worker's machine: create it, or mount its disk."
            " Mailsluice does not create it, so that no archive is written to the wrong disk"
        )
    return folder


def _archive(
    database: Database, campaign: CampaignAge, folder: Path, owner: str, goes_on: GoesOn
) -> Done:
    """Archive one campaign, from the step at which an interrupted run stopped."""
    try:
        lease = Lease(Leases(database), campaign.id, owner)
    except CampaignBusyError as error:
        return Done(campaign, trouble=str(error))
    try:
        return _archived(database, campaign, folder, lease, goes_on)
    except (HousekeepingError, CampaignBusyError) as error:
        return Done(campaign, trouble=str(error))
    except OSError as error:
        reason = f"{error.strerror or error}"
        return Done(campaign, trouble=f"its archive cannot be written under {folder}: {reason}")
    except DatabaseError as error:
        return Done(campaign, trouble=str(told(error, then="The next run continues")))
    finally:
        lease.close()


def _archived(
    database: Database, campaign: CampaignAge, folder: Path, lease: Lease, goes_on: GoesOn
) -> Done:
    archives = Archives(database)
    record = archives.find(campaign.id)
    if record is None:
        providers = count_providers(database, campaign.id)
        written, manifest, digest = write(database, campaign, folder, goes_on)
        try:
            verify_written(database, written, manifest)
            lease.confirm()  # no other run has written to the campaign since it was read
        except Exception:
            # The database does not know this folder, so every night would leave another one.
            shutil.rmtree(written, ignore_errors=True)
            raise
        kept = providers.as_json() if providers else None
        archives.add(campaign.id, str(written), digest, manifest.counts, kept)
    else:
        written = Path(record.folder)
        verify_kept(written, campaign.id, record.digest)
    deleted = clear(database, campaign.id, written, goes_on)
    archives.cleared(campaign.id)
    return Done(campaign, str(written), deleted)


def _pack(
    database: Database, settled: Iterable[CampaignAge], owner: str, goes_on: GoesOn
) -> list[Done]:
    """Pack the tables of the campaigns that need it."""
    needed, done = unpacked(database), []
    for campaign in settled:
        if campaign.id in needed:
            done.append(_packed(database, campaign, owner))
            goes_on()
    return done


def _packed(database: Database, campaign: CampaignAge, owner: str) -> Done:
    try:
        with closing(Lease(Leases(database), campaign.id, owner)):
            pack(database, campaign.id)
    except CampaignBusyError as error:
        return Done(campaign, trouble=str(error))
    except DatabaseError as error:
        return Done(campaign, trouble=str(told(error, then="The next run tries again")))
    return Done(campaign)
