"""Move old campaigns into files, one after the other, in steps that a kill cannot tear apart.

Housekeeping holds a campaign's lease while it writes, syncs, reads back and records an archive.
From then on nothing changes the campaign, and its rows are deleted by the keys in its files, so no
row is deleted that is not in them. The campaign's own row stays: it prevents that its name is sent
again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.files import FileError, writable
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery.lease import Lease
from mailsluice.operations.housekeeping.clearing import clear
from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.kept import Done, Kept
from mailsluice.operations.housekeeping.retention import Ended, due
from mailsluice.operations.housekeeping.verifying import verify_kept, verify_written
from mailsluice.operations.housekeeping.writing import GoesOn, write
from mailsluice.store import Database, Leases
from mailsluice.store.archives import Archives
from mailsluice.store.schema import archives, campaigns
from mailsluice.store.trouble import told


def _on() -> None:
    """Never stop."""


def keep_house(
    database: Database,
    *,
    keep_days: int,
    folder: Path | None,
    owner: str,
    goes_on: GoesOn = _on,
) -> Kept:
    """Archive the campaigns that ended more than `keep_days` ago under `folder`, and delete them.

    Without a folder nothing is written or deleted: `Kept` says what would be. Campaigns go one
    after the other, the oldest first; one in trouble does not keep the others from it. `goes_on` is
    called between two short transactions: it may wait, to leave room for those who send, and raise,
    to stop; the next run goes on where this one stopped.

    Raises HousekeepingError where the folder is not there.
    """
    todo = due(list(_standing(database)), database.moment().timestamp(), keep_days)
    found = partial(
        Kept, keep_days, folder is None, len(todo.due), stale=todo.stale, archived=todo.archived
    )
    if folder is None:
        return found(done=[Done(one) for one in todo.due], free_bytes=_free_bytes(database))
    try:
        folder = writable(folder)
    except FileError as error:
        raise HousekeepingError(f"archives cannot be written under {folder}: {error}") from None
    if not folder.is_dir():
        raise HousekeepingError(
            f"there is no folder {folder} where the worker runs: make it, or mount its disk; it is"
            " not made here, so that archives never go to the wrong disk"
        )
    done = [_archive(database, one, folder, owner, goes_on) for one in todo.due]
    return found(done=done, free_bytes=_free_bytes(database))


def _archive(database: Database, one: Ended, folder: Path, owner: str, goes_on: GoesOn) -> Done:
    """One campaign; whatever step a dead run came to, the next one goes on from there."""
    try:
        lease = Lease(Leases(database), one.id, owner)
    except CampaignBusyError as error:
        return Done(one, trouble=str(error))
    try:
        return _archived(database, one, folder, lease, goes_on)
    except (HousekeepingError, CampaignBusyError) as error:
        return Done(one, trouble=str(error))
    except OSError as error:
        reason = f"{error.strerror or error}"
        return Done(one, trouble=f"its archive cannot be written under {folder}: {reason}")
    except SQLAlchemyError as error:
        return Done(one, trouble=str(told(error, then="The next run goes on")))
    finally:
        lease.close()


def _archived(database: Database, one: Ended, folder: Path, lease: Lease, goes_on: GoesOn) -> Done:
    kept = Archives(database)
    record = kept.find(one.id)
    if record is None:
        written, manifest, digest = write(database, one, folder, goes_on)
        try:
            verify_written(database, written, manifest)
            lease.confirm()  # nobody has written to the campaign since it was read
        except Exception:
            shutil.rmtree(written, ignore_errors=True)  # nobody knows of it: else one more a night
            raise
        kept.add(one.id, str(written), digest, manifest.counts)
    else:
        written = Path(record.folder)
        verify_kept(written, one.id, record.digest)
    deleted = clear(database, one.id, written, goes_on)
    kept.cleared(one.id)
    return Done(one, str(written), deleted)


def _standing(database: Database) -> Iterator[Ended]:
    query = (
        sa.select(
            campaigns.c.id,
            campaigns.c.name,
            campaigns.c.status,
            campaigns.c.accepted,
            campaigns.c.created_at,
            campaigns.c.ended_at,
            archives.c.campaign_id.is_not(None).label("is_archived"),
            archives.c.cleared_at.is_not(None).label("is_cleared"),
        )
        .outerjoin(archives, archives.c.campaign_id == campaigns.c.id)
        .order_by(campaigns.c.id)
    )
    with database.read() as connection:
        for number, name, status, *others in connection.execute(query):
            yield Ended(number, name, CampaignStatus(status), *others)


def _free_bytes(database: Database) -> int | None:
    if not database.is_sqlite:
        return None
    with database.read() as connection:
        pages, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("freelist_count", "page_size")
        )
    return pages * size
