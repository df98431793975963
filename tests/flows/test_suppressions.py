"""The four flows that keep the list of suppressions: what they do, say, and hide."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.add_suppressions import add_suppressions
from flows.export_suppressions import export_suppressions
from flows.import_suppressions import import_suppressions
from flows.remove_suppressions import remove_suppressions


async def newest_page() -> str:
    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["suppressions"])),
            sort=ArtifactSort.CREATED_DESC,
        )
    return str(found[0].data)


def listed(state: Path) -> dict[str, str]:
    with sqlite3.connect(state) as connection:
        return dict(connection.execute("SELECT email, reason FROM suppressions"))


async def test_a_list_is_imported_changed_by_hand_and_exported(
    tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "sendgrid.csv"
    source.write_text("email,type\nann@example.com,bounce\nbob@example.com,spamreport\nnobody,x\n")

    final = await import_suppressions({"path": str(source)}, return_state=True)
    assert final.is_completed()
    assert final.message == "3 rows: 2 new, 0 on the list already, 1 bad"
    page = await newest_page()
    assert "| bounced | 1 |" in page
    assert "| 3 | no address that mail could be sent to |" in page

    final = await add_suppressions(["carl@example.com"], return_state=True)
    assert final.message == "1 added"
    final = await remove_suppressions(["ann@example.com", "bob@example.com"], return_state=True)
    assert final.message == "1 removed, 1 stay: unsubscribed or complained"
    assert "even_unsubscribed" in await newest_page()
    assert listed(state) == {"bob@example.com": "complained", "carl@example.com": "manual"}

    path = tmp_path / "list.csv"
    final = await export_suppressions(str(path), reasons=["complained"], return_state=True)
    assert final.message == f"1 addresses in {path}"
    assert "bob@example.com" in path.read_text()

    assert "@example.com" not in caplog.text + page + await newest_page()


async def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "no.csv")}
    for final in (
        await import_suppressions(source, return_state=True),
        await import_suppressions({}, return_state=True),
        await import_suppressions({"query": "select 1", "database": "no"}, return_state=True),
        await remove_suppressions(path=source["path"], return_state=True),
        await remove_suppressions(return_state=True),
        await add_suppressions(["nobody"], return_state=True),
        await export_suppressions(str(tmp_path / "x.txt"), return_state=True),
    ):
        assert final.is_failed()
        assert final.message
        assert "Traceback" not in final.message
