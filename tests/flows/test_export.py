"""export-campaign: its file and its message."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from flows.export_campaign import export_campaign
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv


async def test_the_file_holds_the_message_id_each_server_saw(
    tmp_path: Path, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    await run(document(write_csv(tmp_path / "r.csv", 10)))
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


async def test_rejects_have_their_own_file(tmp_path: Path, servers: Servers) -> None:
    source = tmp_path / "r.csv"
    source.write_text("email,first_name\na@example.com,A\nnobody,B\na@EXAMPLE.com,C\n")
    await run(document(source))
    path = tmp_path / "rejects.csv"
    final = await export_campaign("spring-sale", str(path), contents="rejects", return_state=True)
    assert final.message == f"2 rejects in {path}"


async def test_a_file_that_exists_is_kept(tmp_path: Path, servers: Servers) -> None:
    source = write_csv(tmp_path / "r.csv", 5)
    await run(document(source))
    before = source.read_text()
    final = await export_campaign("spring-sale", str(source), return_state=True)
    assert final.is_failed()
    assert "exists" in str(final.message)
    assert source.read_text() == before
