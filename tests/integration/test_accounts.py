"""Verification and export of a campaign, on every database."""

from __future__ import annotations

import csv
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pyarrow import parquet

from mailsluice.core.status import RecipientStatus
from mailsluice.core.table_file import TableFileError
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Contents
from mailsluice.store import Campaigns, Database, History, Leases, Providers, Settled
from mailsluice.store.fates import Fates
from mailsluice.store.schema import campaigns, deliveries, recipients
from tests.integration.accounts_fixtures import (
    campaign,
    claim,
    execute,
    make_uncertain,
    settle,
    store,
    verified,
)


class TestVerification:
    def test_a_campaign_is_conserved_whatever_its_stage(self, database: Database) -> None:
        outbox = store(database)
        assert verified(database).summary() == "conserved: 8 accepted = 8 pending"
        taken = claim(database, outbox)
        settle(database, outbox, [Settled(taken[0].id, RecipientStatus.SENT, 1, 250, "2.0.0 ok")])
        settle(
            database,
            outbox,
            [Settled(row.id, RecipientStatus.DEFERRED, 1, 450, "later", 60.0) for row in taken[1:]],
        )
        found = verified(database)
        assert found.is_conserved
        assert found.summary() == "conserved: 8 accepted = 4 pending + 1 sent + 3 deferred"

    def test_recipients_may_be_sending_while_a_run_holds_the_lease(
        self, database: Database
    ) -> None:
        outbox = store(database)
        campaign_id = Campaigns(database).get("spring").id
        Leases(database).acquire(campaign_id, "a run")
        claim(database, outbox)
        assert verified(database).is_conserved
        execute(database, sa.update(campaigns).values(lease_until=1))
        (finding,) = verified(database).findings
        assert finding.number == 4
        assert "no run holds the campaign" in finding.what

    def test_other_campaigns_are_not_counted(self, database: Database) -> None:
        store(database)
        store(database, name="summer")
        execute(database, sa.delete(recipients).where(recipients.c.campaign_id == 1))
        assert not verified(database).is_conserved
        assert verified(database, "summer").is_conserved

    def test_a_repeated_address_is_found(self, database: Database) -> None:
        store(database)
        execute(
            database,
            sa.update(recipients)
            .where(recipients.c.email.in_(["user3@example.com", "user5@example.com"]))
            .values(email="user1@example.com"),
        )
        (finding,) = verified(database).findings
        assert finding.number == 2
        tallies = accounts.tally(database, "spring", complete=False)
        assert tallies.repeated is None

    def test_sent_without_a_code_needs_an_attempt_that_explains_it(
        self, database: Database
    ) -> None:
        outbox = store(database)
        first, second, *_ = claim(database, outbox)
        why = History("a", "body", "uncertain")
        settle(
            database,
            outbox,
            [
                Settled(first.id, RecipientStatus.SENT, 1, reply="assumed", history=why),
                Settled(second.id, RecipientStatus.SENT, 1),
            ],
        )
        tallies = accounts.tally(database, "spring")
        assert tallies.unexplained_sent == 1

    def test_recorded_moves_explain_stored_connections(self, database: Database) -> None:
        store(database)
        one = sa.update(recipients).where(recipients.c.id == 1)
        execute(database, one.values(connection="b"))
        assert len(verified(database).findings) == 2  # moved, but not recorded
        execute(database, one.values(reassigned_from="a"))
        assert verified(database).is_conserved

    def test_attempts_of_a_deleted_recipient_are_found(self, database: Database) -> None:
        if not database.is_sqlite:
            pytest.skip("PostgreSQL itself keeps them together")
        outbox = store(database)
        make_uncertain(database, outbox, 1)
        with closing(sqlite3.connect(database.engine.url.database or "")) as by_hand:
            by_hand.execute("DELETE FROM recipients WHERE id = 1")
            by_hand.commit()
        assert accounts.tally(database, "spring").stray_attempts == 1

    def test_an_unknown_campaign_is_named(self, database: Database) -> None:
        with pytest.raises(Exception, match="there is no campaign 'autumn'"):
            accounts.tally(database, "autumn")


class TestFates:
    @pytest.mark.parametrize("chunk_rows", [1, 3, 8, 100])
    def test_every_recipient_is_read_once_whatever_the_chunk_size(
        self, database: Database, chunk_rows: int
    ) -> None:
        store(database, name="before")
        campaign_id = Campaigns(database).get("before").id
        store(database, name="after")
        chunks = list(Fates(database, campaign_id).recipients(chunk_rows=chunk_rows))
        assert all(len(chunk) <= chunk_rows for chunk in chunks)
        emails = [row.email for chunk in chunks for row in chunk]
        assert emails == [f"user{i}@example.com" for i in range(8)]

    def test_a_campaign_without_recipients_has_no_chunks(self, database: Database) -> None:
        record = Campaigns(database).register("empty", {})
        assert list(Fates(database, record.id).recipients()) == []
        assert list(Fates(database, record.id).rejects()) == []

    def test_a_chunk_is_a_range_of_the_primary_key(self, database: Database) -> None:
        """Otherwise each chunk would read the whole campaign again."""
        store(database)
        plans: list[str] = []
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "

        def look(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
            if re.search(r"ORDER BY recipients\w*\.id", statement) and not statement.startswith(
                "EXPLAIN"
            ):
                raw = connection.connection.cursor()
                if not database.is_sqlite:  # eight rows are sorted quicker than looked up
                    raw.execute("SET enable_seqscan = off")
                raw.execute(explain + statement, values)
                plans.append(" ".join(str(row) for row in raw.fetchall()))

        sa.event.listen(database.engine, "before_cursor_execute", look)
        list(Fates(database, 1).recipients())
        assert len(plans) == 1
        assert "PRIMARY KEY" in plans[0] or "pk_recipients" in plans[0]


class TestExport:
    def test_a_csv_file_lists_every_recipient_with_its_outcome(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database)
        first, second, *_ = claim(database, outbox)
        settle(
            database,
            outbox,
            [
                Settled(first.id, RecipientStatus.SENT, 1, 250, '2.0.0 "queued",\nas 7'),
                Settled(second.id, RecipientStatus.DEFERRED, 1, 450, "later", 3_600.0),
            ],
        )
        path = tmp_path / "fates.csv"
        assert accounts.export(database, "spring", path).rows == 8
        with path.open(encoding="utf-8", newline="") as file:
            rows = {row["email"]: row for row in csv.DictReader(file)}
        assert len(rows) == 8
        sent = rows["user0@example.com"]
        assert (sent["connection"], sent["status"], sent["attempts"]) == ("a", "sent", "1")
        assert (sent["code"], sent["reply"]) == ("250", '2.0.0 "queued",\nas 7')
        age = datetime.now(UTC) - datetime.fromisoformat(sent["settled_at"])
        assert abs(age.total_seconds()) < 3_600
        later = rows["user2@example.com"]
        wait = datetime.fromisoformat(later["next_attempt_at"]) - datetime.fromisoformat(
            later["settled_at"]
        )
        assert 3_599 < wait.total_seconds() < 3_601
        untouched = rows["user1@example.com"]
        assert (untouched["status"], untouched["code"], untouched["settled_at"]) == (
            "pending",
            "",
            "",
        )

    def test_cells_of_a_csv_file_are_no_formulas(self, database: Database, tmp_path: Path) -> None:
        store(database)
        formula = '=HYPERLINK("http://x.example")'
        with database.write() as writer:
            writer.execute(sa.update(recipients).values(reply=formula))
        accounts.export(database, "spring", tmp_path / "fates.csv")
        with (tmp_path / "fates.csv").open(newline="") as file:
            assert {row["reply"] for row in csv.DictReader(file)} == {f"'{formula}"}
        accounts.export(database, "spring", tmp_path / "fates.parquet")
        kept = parquet.read_table(tmp_path / "fates.parquet").column("reply").to_pylist()
        assert set(kept) == {formula}

    def test_an_export_has_the_messages_message_ids(
        self, database: Database, tmp_path: Path
    ) -> None:
        store(database)
        path = tmp_path / "fates.parquet"
        accounts.export(database, "spring", path)
        exported = parquet.read_table(path).to_pylist()[0]
        record = Campaigns(database).get("spring")
        message = launch.compiled(campaign(), [], record.return_key)
        envelope = message.render(1, exported["email"], {})
        assert f"Message-ID: {exported['message_id']}\r\n".encode() in envelope.content
        assert exported["message_id"].isascii()

    def test_parquet_keeps_types_and_the_requested_states(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database)
        make_uncertain(database, outbox, 2)
        path = tmp_path / "doubt.parquet"
        statuses = [RecipientStatus.UNCERTAIN]
        assert accounts.export(database, "spring", path, statuses=statuses).rows == 2
        (first, _) = parquet.read_table(path).to_pylist()
        assert first["status"] == "uncertain"
        assert first["settled_at"].utcoffset().total_seconds() == 0
        assert first["code"] is None

    def test_an_export_says_who_hosts_the_mailbox(self, database: Database, tmp_path: Path) -> None:
        """As stored at the launch; else as the events of the sending provider name it."""
        store(database)
        campaign_id = Campaigns(database).get("spring").id
        Providers(database).record(campaign_id, {"google": 2})
        event = {"rank": 1, "at": 0.0, "state": "delivered", "failure": "", "reply": ""}
        with database.write() as writer:
            query = sa.select(recipients.c.id).order_by(recipients.c.id)
            ids = writer.execute(query).scalars().all()
            named = recipients.c.id.in_(ids[:2])
            writer.execute(sa.update(recipients).where(named).values(provider=1))
            for number, name in ((1, "Gmail"), (2, "Yahoo"), (3, "")):
                values = {"campaign_id": campaign_id, "connection": "a", "status": "", **event}
                writer.execute(
                    sa.insert(deliveries).values(
                        recipient_id=ids[number], mailbox_provider=name, **values
                    )
                )
        path = tmp_path / "fates.parquet"
        accounts.export(database, "spring", path)
        found = parquet.read_table(path).column("mailbox_provider").to_pylist()
        assert found == ["google", "google", "Yahoo", *[None] * (len(ids) - 3)]

    @pytest.mark.parametrize("name", ["rejects.csv", "rejects.parquet"])
    def test_rejects_are_exported_with_their_reasons(
        self, database: Database, tmp_path: Path, name: str
    ) -> None:
        store(database)
        path = tmp_path / name
        assert accounts.export(database, "spring", path, contents=Contents.REJECTS).rows == 2
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        assert frame["row"].tolist() == [3, 5]
        assert frame["reason"].tolist() == ["invalid", "duplicate"]

    def test_an_export_without_recipients_is_a_header(
        self, database: Database, tmp_path: Path
    ) -> None:
        store(database)
        path = tmp_path / "failed.csv"
        assert (
            accounts.export(database, "spring", path, statuses=[RecipientStatus.FAILED]).rows == 0
        )
        assert path.read_text().startswith('"email","connection"')

    def test_a_file_is_overwritten_only_on_request(
        self, database: Database, tmp_path: Path
    ) -> None:
        store(database)
        path = tmp_path / "r.csv"
        path.write_text("precious")
        with pytest.raises(TableFileError, match="exists"):
            accounts.export(database, "spring", path)
        assert path.read_text() == "precious"
        accounts.export(database, "spring", path, overwrite=True)
        assert path.read_text() != "precious"

    def test_a_failed_export_leaves_no_file(
        self, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store(database)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Fates, "recipients", full)
        with pytest.raises(TableFileError, match="No space left on device"):
            accounts.export(database, "spring", tmp_path / "r.csv")
        assert list(tmp_path.glob("*r.csv*")) == []

    @pytest.mark.parametrize(
        ("path", "complaint"),
        [("r.xlsx", "end in .csv or .parquet"), ("no/such/folder/r.csv", "cannot be written")],
    )
    def test_an_unusable_path_is_refused(
        self, database: Database, tmp_path: Path, path: str, complaint: str
    ) -> None:
        store(database)
        with pytest.raises(TableFileError, match=complaint):
            accounts.export(database, "spring", tmp_path / path)
