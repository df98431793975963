"""The report of a run, and report-campaign: the page, the file, and parts that cannot be made."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from prefect.client.orchestration import get_client
from sqlalchemy.exc import OperationalError

from flows.plan_campaign import plan_campaign
from flows.report_campaign import report_campaign
from mailsluice.reports.campaign import Report
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, run, sent_to, start, until, write_csv
from tests.flows.written import pages
from tests.smtpd import Settings, SmtpServer

ADDRESS = re.compile(r"\S@")  # a style sheet has an @ with nothing before it


@pytest.fixture
def no_pictures() -> None:
    """Draw the pictures, which the other modules leave out."""


def files(state: Path) -> list[Path]:
    return sorted((state.parent / "reports").iterdir())


async def test_a_run_leaves_a_page_with_pictures_and_the_same_as_a_file(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    name = "with pictures <script>"
    campaign = document(write_csv(tmp_path / "r.csv", 100), name=name, throttle={"per_second": 500})
    final = await run(campaign)
    assert final.is_completed()
    (text,) = await pages("campaign-with-pictures-script")
    assert text.count("](data:image/png;base64,") == 3
    assert text.startswith("# with pictures \\<script\\>")
    assert "| d1.example.com | red |" in text
    assert "350 a second (its share of the campaign's)" in text
    (file,) = files(state)
    assert file.name == "with-pictures-script-1.html"
    assert f"`{file}`" in text
    html = file.read_text(encoding="utf-8")
    assert html.count('<img src="data:image/png;base64,') == 3
    assert "<script" not in html
    assert not ADDRESS.search(text + html)


async def test_a_run_that_fails_says_what_to_do_next(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        save_block("red", demanding, username="u", password="wrong", allow_plain_password=True)
        final = await run(document(write_csv(tmp_path / "r.csv", 10), name="failing"))
    assert final.is_failed()
    (text,) = await pages("campaign-failing")
    assert "**red is down**" in text
    assert "**7 recipients still wait**" in text
    assert "`verify-connection`" in text
    assert len(files(state)) == 1


@pytest.mark.usefixtures("links")
async def test_the_page_links_forms_that_are_filled_in(tmp_path: Path, servers: Servers) -> None:
    """The page links forms of deployed flows, also after an update."""
    deployed = await (await plan_campaign.ato_deployment("default")).aapply()
    given = document(write_csv(tmp_path / "r.csv", 10), name="linked")
    assert (await run(given)).is_completed()
    await report_campaign("linked", return_state=True)
    async with get_client() as client:
        block = await client.read_block_document_by_name("red", "smtp-connection")
    texts = await pages("campaign-linked")
    assert len(texts) == 2
    for text in texts:
        link = text.partition("- [Plan a similar campaign](")[2].partition(")")[0]
        address = urlsplit(link)
        assert address.path == f"../../deployments/deployment/{deployed}/run"
        filled = json.loads(parse_qs(address.query)["parameters"][0])["campaign"]
        assert filled["name"] == "linked"
        assert filled["recipients"]["path"] == given["recipients"]["path"]
        assert filled["routes"][0]["connection"] == {"$ref": {"block_document_id": str(block.id)}}
        assert not ADDRESS.search(text)


@pytest.mark.parametrize(
    ("broken", "error", "missing"),
    [
        (
            "tasks.report.statistics",
            OperationalError("SELECT", {}, Exception("gone")),
            "statistics",
        ),
        ("mailsluice.reports.campaign.figures.pictures", ValueError("no such font"), "pictures"),
        ("mailsluice.reports.campaign.file.html", OSError("disk full"), "file of HTML"),
    ],
)
async def test_a_part_that_fails_is_left_out_and_changes_nothing_else(
    broken: str,
    error: Exception,
    missing: str,
    tmp_path: Path,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(broken, fail)
    name = f"without {missing.split()[0]}".lower()
    final = await run(document(write_csv(tmp_path / "r.csv", 10), name=name))
    assert final.is_completed()
    assert final.message == "10 of 10 sent"
    assert f"the report is published without its {missing}" in caplog.text
    (text,) = await pages("campaign-" + name.replace(" ", "-"))
    assert "| red | 7 | 70.00% | 7 |" in text


async def test_the_report_can_be_updated_with_later_bounces(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_block("red", servers["red"], per_hour=90_000)
    await run(document(write_csv(tmp_path / "r.csv", 10), name="anew"))
    with closing(sqlite3.connect(state)) as by_hand:
        by_hand.execute(
            "INSERT INTO bounces (key, email, kind, status, detail, source, at, connection,"
            " campaign_id) VALUES ('1', 'user1@d1.example.com', 'hard', '5.1.1',"
            " 'no user1@d1.example.com', 'mailbox', 0, 'red', 1)"
        )
        by_hand.commit()
    final = await report_campaign("anew", return_state=True)
    assert final.is_completed()
    assert final.message == "10 of 10 sent"
    assert isinstance(await final.aresult(), Report)
    before, after = await pages("campaign-anew")
    assert "## Bounces and complaints" not in before
    assert "| red | 1 | 0 | 0 | 14.29% |" in after
    assert "90,000 an hour (its own)" in after
    assert len(files(state)) == 1
    assert not ADDRESS.search(after + files(state)[0].read_text(encoding="utf-8"))
    assert "@d1.example.com" not in caplog.text


async def test_the_report_can_be_made_while_the_campaign_is_sent(
    tmp_path: Path, servers: Servers
) -> None:
    servers["red"].hold(after=20)
    save_block("red", servers["red"], timeout_seconds=600)
    process = start(document(write_csv(tmp_path / "r.csv", 1_000), name="meanwhile"))
    try:
        await until(lambda: servers["red"].held)
        final = await report_campaign("meanwhile", return_state=True)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        servers["red"].release()
        await until(lambda: process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    assert final.is_completed()
    assert " of 1,000 sent, " in str(final.message)
    assert "recipients still wait**" in (await pages("campaign-meanwhile"))[0]
    assert set(sent_to(servers).values()) == {1}


async def test_an_unknown_campaign_is_named_without_a_stack_trace(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    final = await report_campaign("autumn", return_state=True)
    assert final.is_failed()
    assert "there is no campaign 'autumn'" in str(final.message)
    assert "Traceback" not in caplog.text
