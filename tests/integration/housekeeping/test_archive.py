"""Archiving old campaigns: no row is lost, whatever happens, on every database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.core.errors import CampaignBusyError, CampaignDiffersError
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.lease import Lease
from mailsluice.events.event import DeliveryState
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import LedgerError
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.operations.housekeeping import HousekeepingError, writing
from mailsluice.reports.campaign import page
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.store import Bounces, Campaigns, Database, Outbox
from mailsluice.store.archive_parts import PARTS
from mailsluice.store.archive_rows import ArchiveRows
from mailsluice.store.leases import LeaseRecord, Leases
from mailsluice.store.schema import deliveries, events, recipients, rejects
from tests.integration.accounts_fixtures import campaign, execute, store
from tests.integration.housekeeping.conftest import (
    DAY,
    GROWING,
    NOTHING,
    all_bounces,
    archive,
    archived_rows,
    bounce,
    everything,
    failing,
    old_campaign,
    rows,
)


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

    @pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.BOUNCED])
    def test_a_soft_bounce_of_an_archived_message_that_arrived_does_not_count(
        self, database: Database, folder: Path, state: DeliveryState
    ) -> None:
        """A provider's event said that the message arrived; the event is archived with it.

        A later event without a server's reply, as for an automatic reply, changes nothing.
        """
        outbox = old_campaign(database)
        changed = {"state": state, "delivered_at": 1.0}
        execute(database, sa.update(deliveries).values(changed))
        with database.read() as connection:
            sent = recipients.c.status == RecipientStatus.SENT
            query = sa.select(recipients.c.id, recipients.c.email, recipients.c.settled_at)
            number, email, delivered = connection.execute(query.where(sent)).one()
        before = [bounce(i, email, delivered - 10 + i) for i in range(4)]
        mine = replace(
            bounce(4, email, delivered + 1),
            key="event 4",
            status="",
            detail="",
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
