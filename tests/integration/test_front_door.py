"""`import mailsluice`: a whole campaign in one call, without Prefect."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

import mailsluice
from mailsluice.core.status import CampaignStatus
from mailsluice.operations.send import prepare
from mailsluice.reports.progress import Progress
from mailsluice.store import Campaigns, Database
from tests.integration.campaign_fixtures import campaign, connection, lock, people
from tests.smtpd import SmtpServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home folder of its own."""
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MAILSLUICE_DATABASE_URL", raising=False)


def test_a_campaign_is_sent_and_reported(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with SmtpServer() as red, SmtpServer() as blue:
        document = campaign(tmp_path, people(10), ["red", "blue"])
        connections = [connection("red", red), connection("blue", blue)]
        planned = mailsluice.plan(document, connections)
        report = mailsluice.send(document, connections, on_progress=seen.append)
        again = mailsluice.send(document, connections)
        assert sum((red.recipients + blue.recipients).values()) == 10
        assert len(red.recipients) == len(blue.recipients) == 5
        other = document.model_copy(update={"batch_size": 7})
        with pytest.raises(mailsluice.MailsluiceError, match="batch_size"):
            mailsluice.send(other, connections)
    assert report.summary() == again.summary() == "10 of 10 sent"
    assert planned.digest == report.digest
    assert seen[-1].tally.sent == 10
    assert mailsluice.report("spring-sale").summary() == "10 of 10 sent"
    assert mailsluice.verify("spring-sale").is_conserved


def test_a_state_database_that_another_process_holds_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An up-to-date database is opened without a lock, so the first write finds it locked."""
    monkeypatch.setattr("mailsluice.store.database._BUSY_TIMEOUT_SECONDS", 0)
    Database().close()
    holder = lock(str(tmp_path / "home" / "mailsluice.db"))
    try:
        with pytest.raises(mailsluice.MailsluiceError, match=r"is held by .* Send again"):
            mailsluice.send(campaign(tmp_path, people(3)), [mailsluice.Connection("red", "a", 25)])
    finally:
        holder.close()


def test_a_campaign_is_continued_without_what_its_launch_needs(tmp_path: Path) -> None:
    """A launch loads pandas and pyarrow, a new database Alembic; continuing loads none of them."""
    document = campaign(tmp_path, people(3))
    with Database() as database:
        launched = prepare(database, document, owner="launch", home=tmp_path, day=date(2026, 2, 3))
        asyncio.run(launched.close())
    (tmp_path / "campaign.json").write_text(document.model_dump_json())
    with SmtpServer() as red:
        command = [sys.executable, "-c", CONTINUED, str(tmp_path / "campaign.json"), str(red.port)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["3", "of", "3", "sent"]


CONTINUED = """
import sys
import mailsluice
connection = mailsluice.Connection("red", "127.0.0.1", int(sys.argv[2]), "none")
print(mailsluice.send(sys.argv[1], [connection]).summary())
print(*({"alembic", "matplotlib", "numpy", "pandas", "pyarrow", "scipy"} & {*sys.modules}))
"""


def test_a_file_holds_a_campaign_whose_name_has_the_day(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(2)).model_dump(mode="json")
    path = tmp_path / "campaign.json"
    path.write_text(json.dumps({"campaign": {**document, "name": "news {date}"}}))
    with SmtpServer() as red:
        report = mailsluice.send(path, [connection("red", red)], day=date(2026, 2, 3))
    assert report.campaign == "news 2026-02-03"


def test_recipients_come_from_a_database_that_is_passed(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as writer:
        writer.execute(sa.text("create table customers (email text)"))
        writer.execute(sa.text("insert into customers values ('ann@example.com')"))
    source = {"query": "select email from customers", "database": "shop"}
    document = campaign(tmp_path, [], recipients=source)
    with SmtpServer() as red:
        report = mailsluice.send(document, [connection("red", red)], engines={"shop": engine})
        assert list(red.recipients) == ["ann@example.com"]
    assert report.accepted == 1


async def test_cancelling_lets_messages_in_flight_finish(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(400), throttle={"per_second": 20})
    with SmtpServer() as red:
        first = asyncio.Event()

        def look(progress: Progress) -> None:
            if progress.tally.sent:
                asyncio.get_running_loop().call_soon(first.set)

        connections = [connection("red", red)]
        sending = asyncio.ensure_future(
            mailsluice.send_async(document, connections, on_progress=look)
        )
        await first.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        report = await asyncio.to_thread(mailsluice.report, "spring-sale")
        assert 0 < len(red.recipients) < 400
        counts = {status.value: report.of(status) for status in report.shown}
        assert counts.get("sent", 0) == len(red.recipients)
        assert not counts.get("uncertain", 0)


def test_a_call_returns_when_there_is_nothing_to_do_for_long(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(3), throttle={"per_day": 1})
    with SmtpServer() as red:
        report = mailsluice.send(document, [connection("red", red)], wait_seconds=1.0)
    assert report.open == 2


def test_an_error_of_the_caller_ends_the_sending_and_is_raised(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(3), throttle={"per_hour": 1})

    def broken(progress: Progress) -> None:
        if progress.tally.sent:
            raise ZeroDivisionError

    with SmtpServer() as red:
        with pytest.raises(ZeroDivisionError):
            mailsluice.send(
                document, [connection("red", red)], wait_seconds=100_000, on_progress=broken
            )
        assert len(red.recipients) == 1
    assert mailsluice.report("spring-sale").open == 2


def test_a_campaign_that_is_being_sent_is_listed_as_such(tmp_path: Path) -> None:
    document = campaign(tmp_path, people(3), throttle={"per_day": 1})
    seen = set()

    def look(_: Progress) -> None:
        with Database() as database:
            seen.add(Campaigns(database).get("spring-sale").status)

    with SmtpServer() as red:
        mailsluice.send(document, [connection("red", red)], wait_seconds=1.0, on_progress=look)
    assert seen == {CampaignStatus.SENDING}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("gone.yaml", "gone.yaml cannot be read: No such file or directory"),
        ("list.yaml", "holds no campaign"),
        ("broken.yaml", "broken.yaml, line 2 is not YAML: "),
        ("broken.json", "broken.json, line 1 is not JSON: "),
        ("latin.yaml", "latin.yaml is not text in UTF-8"),
        ("short.yaml", "the campaign cannot be sent as it is"),
        ("other.yaml", "there is no connection 'blue' (given: red)"),
        ("query.yaml", "there is no database 'shop' (given: none)"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_stored(
    tmp_path: Path, document: str, message: str
) -> None:
    known = campaign(tmp_path, people(1)).model_dump(mode="json")
    query = {"query": "select 1", "database": "shop"}
    texts = {
        "list.yaml": "[1, 2]",
        "broken.yaml": "name: a\nmessage: {",
        "broken.json": "{",
        "short.yaml": "name: a",
        "other.yaml": json.dumps({**known, "routes": [{"connection": "blue"}]}),
        "query.yaml": json.dumps({**known, "recipients": query}),
    }
    path = tmp_path / document
    if document in texts:
        path.write_text(texts[document])
    elif document == "latin.yaml":
        path.write_bytes("name: caf\xe9".encode("latin-1"))
    with SmtpServer() as red, pytest.raises(mailsluice.MailsluiceError) as caught:
        mailsluice.send(path, [connection("red", red)])
    assert message in str(caught.value)
    assert not red.recipients


def test_the_import_loads_nothing_before_it_is_used() -> None:
    code = "import sys, mailsluice; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["pandas", "numpy", "sqlalchemy", "pydantic", "asyncio", "prefect"]
    told = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "[]"
    assert set(mailsluice.__all__) <= set(dir(mailsluice))
    for name in mailsluice.__all__:
        assert getattr(mailsluice, name).__doc__
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        mailsluice.nothing_of_the_kind  # noqa: B018
