"""export-campaign: its file and its message."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from flows.export_campaign import export_campaign
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv


async def test_files_hold_the_message_ids_that_servers_saw_and_the_rejects_and_are_kept(
    tmp_path: Path, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_csv(tmp_path / "r.csv", 10)
    source.write_text(source.read_text() + "nobody,B\nuser1@D1.example.com,C\n")
    await run(document(source))
    path = tmp_path / "fates.csv"
    final = await export_campaign("spring-sale", str(path), return_state=True)
    assert final.is_completed()
    assert final.message == f"10 recipients in {path}"
    with path.open(encoding="utf-8", newline="") as file:
        exported = {(row["email"], row["message_id"]) for row in csv.DictReader(file)}
    seen = {
        (one.recipient, one.message_id) for server in servers.values() for one in server.received
    }
    assert exported == seen
    assert "@d1.example.com" not in caplog.text

    rejects = str(tmp_path / "rejects.csv")
    final = await export_campaign("spring-sale", rejects, contents="rejects", return_state=True)
    assert final.message == f"2 rejects in {rejects}"

    before = source.read_text()
    final = await export_campaign("spring-sale", str(source), return_state=True)
    assert final.is_failed()
    assert "exists" in str(final.message)
    assert source.read_text() == before
