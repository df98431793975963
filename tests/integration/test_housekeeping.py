"""Archiving old campaigns: no row is lost, whatever happens, on every database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.errors import CampaignBusyError, CampaignDiffersError
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.lease import Lease
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import LedgerError
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.operations.housekeeping import (
    HousekeepingError,
    Kept,
    clearing,
    keep_house,
    writing,
)
from mailsluice.operations.housekeeping import housekeeping as steps
from mailsluice.reports.campaign import page
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.store import Bounces, Campaigns, Database, Outbox, Settled
from mailsluice.store.archive_parts import PARTS
from mailsluice.store.archive_rows import ArchiveRows
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.leases import LeaseRecord, Leases
from mailsluice.store.schema import (
    attempts,
    bounces,
    campaigns,
    deliveries,
    events,
    recipients,
    rejects,
)
from tests.integration.accounts_fixtures import (
    campaign,
    claim,
    execute,
    make_uncertain,
    settle,
    store,
)

DAY = 86_400.0
PEOPLE = 11
GROWING = (recipients, attempts, rejects, deliveries)
NOTHING: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in GROWING}
_ARRIVED = {
    "connection": "a",
    "rank": 2,
    "at": 9.0,
    "state": "delivered",
    "failure": "",
    "reply": "250 OK",
    "status": "",
    "mailbox_provider": "Gmail",
    "delivered_at": 9.0,
}


class KilledError(BaseException):
    """A kill, which no handler catches."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archive"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks small, so that a campaign of a few recipients has several."""
    monkeypatch.setattr(ArchiveRows.read, "__defaults__", (3,))
    monkeypatch.setattr(clearing.clear, "__defaults__", (4,))


def old_campaign(database: Database, name: str = "spring", number: int = PEOPLE) -> Outbox:
    """A campaign that ended 500 days ago: two uncertain, one sent, the others cancelled."""
    outbox = store(database, number, name)
    make_uncertain(database, outbox, 2)
    (taken,) = claim(database, outbox, 1)
    settle(database, outbox, [Settled(taken.id, RecipientStatus.SENT, 1, 250, "2.0.0 ok")])
    outbox.cancel()
    arrived = {"recipient_id": taken.id, "campaign_id": outbox._campaign_id, **_ARRIVED}
    execute(database, sa.insert(deliveries).values(arrived))
    Campaigns(database).set_status(outbox._campaign_id, CampaignStatus.COMPLETED)
    of_this = campaigns.c.id == outbox._campaign_id
    ended = {"ended_at": campaigns.c.ended_at - 500 * DAY}
    execute(database, sa.update(campaigns).where(of_this).values(ended))
    return outbox


def archive(database: Database, folder: Path | None, **options: Any) -> Kept:
    return keep_house(database, keep_days=400, folder=folder, owner="a run", **options)


def rows(database: Database, table: sa.Table) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key))
        return [tuple(row) for row in found]


def archived_rows(folder: str, table: sa.Table) -> list[tuple[Any, ...]]:
    found = parquet.read_table(Path(folder) / f"{table.name}.parquet")
    return sorted(tuple(row.values()) for row in found.to_pylist())


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: rows(database, table) for table in GROWING}


class TestArchive:
    def test_every_row_moves_unchanged_from_the_database_into_the_files(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        before = everything(database)
        kept = archive(database, folder)
        (done,) = kept.done
        assert kept.summary() == "1 of 1 campaign archived, 16 rows deleted"
        assert done.folder == str(folder / "1-spring")
        assert {table.name: archived_rows(done.folder, table) for table in GROWING} == before
        assert everything(database) == NOTHING
        names = {path.name for path in (folder / "1-spring").iterdir()}
        assert names == {"manifest.json", *(part.file for part in PARTS)}
        assert "return_key" not in parquet.read_schema(folder / "1-spring/campaigns.parquet").names

    def test_without_a_folder_the_result_is_a_plan_and_nothing_changes(
        self, database: Database
    ) -> None:
        old_campaign(database)
        before = everything(database)
        kept = archive(database, None)
        assert kept.is_plan
        assert [result.campaign.name for result in kept.done] == ["spring"]
        assert everything(database) == before

    def test_other_campaigns_stay_unchanged(self, database: Database, folder: Path) -> None:
        old_campaign(database)
        store(database, 4, "not sent yet")
        archive(database, folder)
        assert len(rows(database, recipients)) == 4
        assert len(rows(database, rejects)) == 2

    def test_a_second_run_finds_nothing_to_do(self, database: Database, folder: Path) -> None:
        old_campaign(database)
        archive(database, folder)
        kept = archive(database, folder)
        assert (kept.due, kept.archived) == (0, 1)
        assert [path.name for path in folder.iterdir()] == ["1-spring"]

    def test_a_missing_folder_is_not_created(self, database: Database, tmp_path: Path) -> None:
        old_campaign(database)
        with pytest.raises(HousekeepingError, match="mount its disk"):
            archive(database, tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()

    def test_a_campaign_that_a_run_holds_is_not_archived(
        self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_campaign(database)
        before = everything(database)
        monkeypatch.setattr("mailsluice.delivery.lease._POLL_SECONDS", 0.01)
        with holder(database):
            (done,) = archive(database, folder).done
        assert "is being sent by run 'another'" in done.trouble
        assert everything(database) == before

    def test_a_lost_lease_deletes_nothing(
        self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_campaign(database)
        before = everything(database)
        monkeypatch.setattr(Lease, "confirm", failing(CampaignBusyError("spring", "another")))
        (done,) = archive(database, folder).done
        assert "'another'" in done.trouble
        assert everything(database) == before
        assert list(folder.iterdir()) == []

    def test_a_full_disk_leaves_the_campaign_in_the_database(
        self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_campaign(database)
        before = everything(database)
        monkeypatch.setattr(writing, "_table", failing(OSError(28, "No space left on device")))
        (done,) = archive(database, folder).done
        assert "No space left on device" in done.trouble
        assert everything(database) == before
        assert list(folder.iterdir()) == []


@contextmanager
def holder(database: Database) -> Iterator[None]:
    """Hold the lease as another run that renews it whenever it is read."""
    Leases(database).acquire(1, "another")
    read = Leases.read

    def renew_and_read(self: Leases, campaign_id: int) -> LeaseRecord:
        self.renew(campaign_id, "another")
        return read(self, campaign_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Leases, "read", renew_and_read)
        yield


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


class TestAfterwards:
    def test_an_archived_campaign_keeps_its_name_and_status(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        archive(database, folder)
        record = launch.launched_before(database, campaign())
        assert record
        assert record.status is CampaignStatus.COMPLETED
        with pytest.raises(CampaignDiffersError):
            Campaigns(database).register("spring", {"other": "content"})

    def test_the_report_of_an_archived_campaign_names_the_archive(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        before = stored_report(database, "spring")
        archive(database, folder)
        report = stored_report(database, "spring")
        assert report.summary() == before.summary()
        assert str(folder) in report.archive
        assert "recipients are in" in page(report)

    @pytest.mark.parametrize("what", ["verify", "export", "compare"])
    def test_operations_on_archived_recipients_name_the_archive(
        self, database: Database, folder: Path, what: str
    ) -> None:
        old_campaign(database)
        archive(database, folder)
        asked: dict[str, Callable[[], object]] = {
            "verify": lambda: accounts.tally(database, "spring"),
            "export": lambda: accounts.export(database, "spring", folder / "x.csv"),
            "compare": lambda: observe(database, ["spring"]),
        }
        with pytest.raises(LedgerError, match="its recipients are in"):
            asked[what]()

    async def test_an_archived_campaign_cannot_be_changed(
        self, database: Database, folder: Path, tmp_path: Path
    ) -> None:
        old_campaign(database)
        archive(database, folder)
        with pytest.raises(LedgerError, match="was archived on"):
            await accounts.resolve_uncertain(
                database, "spring", accounts.Action.RESEND, owner="x", home=tmp_path
            )

    @pytest.mark.parametrize("is_same_spelling", [True, False])
    def test_an_archived_delivery_still_ends_a_series_of_soft_bounces(
        self, database: Database, folder: Path, is_same_spelling: bool
    ) -> None:
        """Four soft bounces and a delivery are archived; then one more bounce follows."""
        outbox = old_campaign(database)
        if not is_same_spelling:
            address = recipients.c.email
            other = {"email": sa.func.upper(address), "folded": address}
            execute(database, sa.update(recipients).values(other))
        with database.read() as connection:
            sent = recipients.c.status == RecipientStatus.SENT
            query = sa.select(recipients.c.email, recipients.c.settled_at).where(sent)
            email, delivered = connection.execute(query).one()
        email = email.lower()
        before = [bounce(i, email, delivered - 10 + i) for i in range(4)]
        Bounces(database).record(before)
        archive(database, folder)
        assert Bounces(database).record([bounce(9, email, delivered + 1)]).suppressed == 0
        assert [row.counts for row in all_bounces(database)] == [False] * 4 + [True]
        assert Outbox(database, outbox._campaign_id).counts().of() == 0

    def test_a_soft_bounce_of_an_archived_message_that_arrived_does_not_count(
        self, database: Database, folder: Path
    ) -> None:
        """A provider's event said that the message arrived; the event is archived with it."""
        outbox = old_campaign(database)
        with database.read() as connection:
            sent = recipients.c.status == RecipientStatus.SENT
            query = sa.select(recipients.c.id, recipients.c.email, recipients.c.settled_at)
            number, email, delivered = connection.execute(query.where(sent)).one()
        before = [bounce(i, email, delivered - 10 + i) for i in range(4)]
        mine = replace(
            bounce(4, email, delivered + 1),
            campaign_id=outbox._campaign_id,
            recipient_id=number,
        )
        Bounces(database).record([*before, mine])
        archive(database, folder)
        assert [row.counts for row in all_bounces(database)] == [False] * 5
        assert Bounces(database).record([bounce(9, email, delivered + 2)]).suppressed == 0

    def test_soft_bounces_after_the_last_archived_delivery_keep_counting(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        with database.read() as connection:
            sent = recipients.c.status == RecipientStatus.SENT
            query = sa.select(recipients.c.email, recipients.c.settled_at).where(sent)
            email, delivered = connection.execute(query).one()
        Bounces(database).record([bounce(i, email, delivered + 1 + i) for i in range(4)])
        archive(database, folder)
        assert Bounces(database).record([bounce(9, email, delivered + 9)]).suppressed == 1


def bounce(number: int, email: str, at: float) -> Bounce:
    return Bounce(
        key=f"k{number}",
        email=email,
        kind=BounceKind.SOFT,
        status="4.2.2",
        detail="full",
        source="mailbox",
        at=at,
        connection="a",
        campaign_id=None,
        recipient_id=None,
    )


def all_bounces(database: Database) -> list[sa.Row[Any]]:
    with database.read() as connection:
        return list(connection.execute(sa.select(bounces).order_by(bounces.c.at)))


def killed_before_the_rows_go(database: Database, folder: Path) -> None:
    """Write and record an archive without deleting its rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "clear", failing(KilledError()))
        with pytest.raises(KilledError):
            archive(database, folder)


class TestKilled:
    """After a kill at any step, each row is in the database or in a recorded, complete archive."""

    def killed_at(self, step: int) -> Callable[[], None]:
        left = iter(range(step))

        def goes_on() -> None:
            if next(left, None) is None:
                raise KilledError

        return goes_on

    def check(self, database: Database, before: dict[str, list[tuple[Any, ...]]]) -> None:
        record = Archives(database).find(1)
        for table in GROWING:
            found = set(rows(database, table))
            if record:
                found |= set(archived_rows(record.folder, table))
            assert found == set(before[table.name])

    def test_a_kill_between_two_pieces_of_work_loses_no_row(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        before = everything(database)
        for step in range(100):
            try:
                archive(database, folder, goes_on=self.killed_at(step))
            except KilledError:
                self.check(database, before)
            else:
                break
        assert step > 5
        self.check(database, before)
        assert everything(database) == NOTHING
        assert archive(database, folder).due == 0

    @pytest.mark.parametrize(
        ("where", "step"),
        [
            (steps, "verify_written"),  # the folder has its name, nobody knows of it
            (Archives, "add"),  # it was read back, nobody knows of it
            (steps, "clear"),  # it is recorded, nothing is deleted
            (Archives, "cleared"),  # all is deleted, nobody knows of it
        ],
    )
    def test_a_kill_before_a_step_loses_no_row(
        self, database: Database, folder: Path, where: Any, step: str
    ) -> None:
        old_campaign(database)
        before = everything(database)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, step, failing(KilledError()))
            with pytest.raises(KilledError):
                archive(database, folder)
        self.check(database, before)
        assert not archive(database, folder).troubled
        self.check(database, before)
        assert everything(database) == NOTHING

    def test_an_unfinished_archive_is_replaced(self, database: Database, folder: Path) -> None:
        old_campaign(database)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            with pytest.raises(KilledError):
                archive(database, folder, goes_on=self.killed_at(2))
        assert [path.name for path in folder.iterdir()] == [".1-spring.unfinished"]
        archive(database, folder)
        assert [path.name for path in folder.iterdir()] == ["1-spring"]


class TestNotWhatWasWritten:
    def test_an_archive_with_missing_rows_deletes_nothing(
        self, database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old_campaign(database)
        before = everything(database)
        read = ArchiveRows.read

        def read_less(*given: Any) -> Iterator[Any]:
            yield from (chunk[:-1] for chunk in read(*given) if chunk[:-1])

        monkeypatch.setattr(ArchiveRows, "read", read_less)
        (done,) = archive(database, folder).done
        assert "rows read back" in done.trouble
        assert everything(database) == before
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("name", ["recipients.parquet", "manifest.json"])
    @pytest.mark.parametrize("change", ["missing", "other"])
    def test_a_changed_archive_stops_the_deletion(
        self, database: Database, folder: Path, name: str, change: str
    ) -> None:
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        before = everything(database)
        path = folder / "1-spring" / name
        path.unlink() if change == "missing" else path.write_bytes(path.read_bytes() + b" ")
        (done,) = archive(database, folder).done
        assert "stay there" in done.trouble
        assert everything(database) == before

    def test_a_row_missing_in_the_files_stays_in_the_database(
        self, database: Database, folder: Path
    ) -> None:
        """Rows that are not in the files are not deleted, nor is the table that has one."""
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        late = {"email": "late@example.com", "connection": "a", "status": "sent", "variables": "{}"}
        with_it = tables_of(database, 1).recipients
        execute(database, sa.insert(with_it).values(campaign_id=1, **late))
        archive(database, folder)
        assert "late@example.com" in [row[2] for row in rows(database, recipients)]

    def test_an_unarchived_attempt_keeps_its_recipient(
        self, database: Database, folder: Path
    ) -> None:
        old_campaign(database)
        killed_before_the_rows_go(database, folder)
        (first, *_) = rows(database, recipients)
        late = {"phase": "rcpt", "verdict": "deferred", "reply": "", "connection": "a", "at": 1.0}
        execute(
            database,
            sa.insert(tables_of(database, 1).attempts).values(recipient_id=first[0], **late),
        )
        (done,) = archive(database, folder).done
        assert "were recorded after it was archived" in done.trouble
        assert first in rows(database, recipients)


def test_an_existing_archive_is_never_overwritten(database: Database, folder: Path) -> None:
    """An archive of another database may have the same id and name."""
    (folder / "1-spring").mkdir()
    old_campaign(database)
    (done,) = archive(database, folder).done
    assert done.folder == str(folder / "1-spring-2")
    assert list((folder / "1-spring").iterdir()) == []


def test_a_large_campaign_is_read_in_bounded_chunks(database: Database) -> None:
    outbox = store(database, 20)
    part = PARTS[0]
    chunks = list(ArchiveRows(database, outbox._campaign_id).read(part, 6))
    assert [len(chunk) for chunk in chunks] == [6, 6, 6, 2]
    assert pd.Index([row.id for chunk in chunks for row in chunk]).is_monotonic_increasing


def test_old_events_of_providers_are_deleted(database: Database, folder: Path) -> None:
    now = database.moment().timestamp()
    keys = ("connection", "key", "state", "at", "received_at", "matched_by")
    given = [
        dict(
            zip(
                keys, ("relay", str(n), "delivered", now, now - n * 200 * DAY, "token"), strict=True
            )
        )
        for n in range(4)
    ]
    execute(database, sa.insert(events).values(given))
    archive(database, None)  # a plan
    assert len(rows(database, events)) == 4
    archive(database, folder)
    assert [row[1] for row in rows(database, events)] == ["0", "1"]


def test_the_page_shows_no_address(database: Database, folder: Path) -> None:
    old_campaign(database)
    assert "@" not in archive(database, folder).markdown()
