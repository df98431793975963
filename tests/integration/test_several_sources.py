"""A campaign with several sources: what is stored, exported, planned and reported of each."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.campaign import Campaign
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Contents
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.reports.campaign.page import page
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, campaign_tables
from tests.databases import no_database

OCCASION = launch.Occasion(date(2026, 1, 5), datetime(2026, 1, 5, 12, tzinfo=UTC))


def campaign(folder: Path, crm: sa.Engine) -> Campaign:
    """A campaign to the rows of a file and of a query, without those of two more files."""
    (folder / "shop.csv").write_text("E-Mail,name\nann@b.de,Ann\nbad,\nout@b.de,\nbob@b.de,Bob\n")
    with crm.begin() as connection:
        connection.execute(sa.text("CREATE TABLE people (email TEXT, city TEXT)"))
        insert = sa.text("INSERT INTO people VALUES ('BOB@b.de', 'Ulm'), ('cid@b.de', 'Bonn')")
        connection.execute(insert)
    for name, address in (("left.csv", "out@b.de"), ("staff.csv", "eve@b.de")):
        (folder / name).write_text(f"email\n{address}\n")
    return Campaign.model_validate(
        {
            "name": "spring",
            "recipients": [
                {"path": str(folder / "shop.csv"), "email_column": "E-Mail"},
                {"query": "SELECT * FROM people ORDER BY email", "database": "crm"},
            ],
            "exclude": [{"path": str(folder / name)} for name in ("left.csv", "staff.csv")],
            "message": {
                "sender": "news@b.de",
                "subject": "Hi",
                "text": "{{ name or 'you' }} in {{ city or 'town' }}",
            },
            "routes": [{"connection": "red"}],
        }
    )


def exported(database: Database, path: Path, contents: Contents) -> list[dict[str, str]]:
    accounts.export(database, "spring", path, contents=contents)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("is_large", [False, True])
def test_each_row_says_which_source_it_is_from(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_large: bool
) -> None:
    """On PostgreSQL also where the campaign is large enough for tables of its own."""
    if is_large:
        monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 2)
    crm = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")
    document = campaign(tmp_path, crm)
    record = Campaigns(database).register(document.name, launch.content(document))
    connections = {"red": Connection("red", "127.0.0.1", 25)}
    with launch.resolve_audience(document, database, {"crm": crm}.__getitem__) as audience:
        plan = plan_launch(document, database, audience, connections, OCCASION)
        launch.store_audience(database, record.id, document, audience, OCCASION)
    shop = str(tmp_path / "shop.csv")

    rows = exported(database, tmp_path / "fates.csv", Contents.RECIPIENTS)
    assert {row["email"]: row["source"] for row in rows} == {
        "ann@b.de": shop,
        "bob@b.de": shop,
        "cid@b.de": "query on crm",
    }
    rejected = exported(database, tmp_path / "rejects.csv", Contents.REJECTS)
    assert [(row["row"], row["reason"], row["source"]) for row in rejected] == [
        ("2", "invalid", shop),
        ("3", "excluded", shop),
        ("1", "duplicate", "query on crm"),
    ]
    (cid,) = (row for row in rows if row["email"] == "cid@b.de")
    (found,) = accounts.find_recipients(database, "spring", cid["token"])
    assert found.source == "query on crm"
    assert accounts.verify(accounts.tally(database, "spring")).is_conserved
    report = stored_report(database, "spring")
    assert report.sources == plan.sources
    for text in (plan.markdown(), page(report)):
        line = next(line for line in text.splitlines() if "query on crm" in line)
        read, accepted, *rejected_by_reason = (cell.strip() for cell in line.split("|")[2:-1])
        assert (read, accepted) == ("2", "1")
        assert sorted(rejected_by_reason) == ["0", "0", "0", "0", "1"]


def test_the_recipients_of_each_source_are_verified(database: Database, tmp_path: Path) -> None:
    crm = sa.create_engine(f"sqlite:///{tmp_path / 'crm.db'}")
    document = campaign(tmp_path, crm)
    record = Campaigns(database).register(document.name, launch.content(document))
    with launch.resolve_audience(document, database, {"crm": crm}.__getitem__) as audience:
        launch.store_audience(database, record.id, document, audience, OCCASION)
    with database.write() as transaction:
        transaction.execute(sa.text("UPDATE recipients SET source = 1"))
    found = accounts.verify(accounts.tally(database, "spring")).findings
    assert [finding.what for finding in found] == [
        f"recipients differ: 2 were accepted from {tmp_path / 'shop.csv'}, but 3 are stored",
        "recipients differ: 1 were accepted from query on crm, but 0 are stored",
    ]


def test_a_campaign_with_one_source_stores_nothing_about_it(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "one.csv").write_text("email\nann@b.de\nbad\n")
    source: Any = {"path": str(tmp_path / "one.csv")}
    plain: dict[str, Any] = {
        "message": {"sender": "news@b.de", "subject": "Hi", "text": "Hello"},
        "routes": [{"connection": "red"}],
    }
    document = Campaign.model_validate({"name": "spring", "recipients": source, **plain})
    record = Campaigns(database).register(document.name, launch.content(document))
    with launch.resolve_audience(document, database, no_database) as audience:
        launch.store_audience(database, record.id, document, audience, OCCASION)

    assert stored_report(database, "spring").sources == []
    (row,) = exported(database, tmp_path / "fates.csv", Contents.RECIPIENTS)
    assert row["source"] == ""
    (rejected,) = exported(database, tmp_path / "rejects.csv", Contents.REJECTS)
    assert (rejected["row"], rejected["source"]) == ("2", "")
    again = Campaign.model_validate({"name": "spring", "recipients": [source], **plain})
    assert launch.launched_before(database, again)  # a list of one is the same campaign
