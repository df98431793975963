"""Events of a provider from the mail to the report: the real flow, the real command."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL

from deployments.server import free_port
from flows.import_events import import_events
from flows.report_campaign import report_campaign
from tests.eventually import eventually
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import pages
from tests.forked import Forked
from tests.unit.events import payloads
from tests.unit.events.test_signatures import PUBLIC, sendgrid


@contextmanager
def serving() -> Iterator[httpx.Client]:
    """Run `mailsluice events serve`; yields a client of it."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "deployments.command", "events", "serve", f"--port={port}"]
    environment = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    with Forked(command, env=environment, stdout=subprocess.PIPE) as process:

        def is_up() -> bool:
            assert process.poll() is None, process.communicate()[0]
            try:
                return httpx.get(f"{url}/health").is_success
            except httpx.TransportError:
                return False

        eventually(is_up)
        try:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client
        finally:
            process.send_signal(signal.SIGINT)
            shown = process.communicate()[0]
        assert "red: http://127.0.0.1" in shown
        assert "spring-sale: " in shown, shown  # two of fifty bounced: above a threshold
        assert "@" not in shown


async def test_a_file_of_events_is_checked_imported_and_imported_again(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_block("red", servers["red"], identity={"provider": "brevo"})
    routes = [{"connection": "red", "percent": 100}]
    final = await run(document(write_csv(tmp_path / "r.csv", 50), routes=routes))
    assert final.is_completed(), final.message
    mails = [message_from_bytes(one.content, policy=default) for one in servers["red"].received]
    path = tmp_path / "logs.csv"
    lines = [
        f"{kind},{mail['To']},{time.time() + 1:.0f}"
        for kind, mail in zip(["Delivered"] * 5 + ["Complaint", "Moved"], mails, strict=False)
    ]
    path.write_text("\n".join(["st_text,email,ts", *lines]))
    file = {"path": str(path)}
    checked = await import_events("red", file, check=True, return_state=True)
    assert checked.message == (
        "7 rows: 6 events would be recorded, 0 known before, 0 not matched, 0 not about delivery,"
        " 1 bad rows"
    )
    for recorded, known, suppressed in ((6, 0, 1), (0, 6, 0)):
        final = await import_events("red", file, return_state=True)
        assert final.is_completed()
        assert final.message == (
            f"7 rows: {recorded} events recorded, {known} known before, 0 not matched, 0 not about"
            f" delivery, 1 bad rows; {suppressed} newly suppressed"
        )
    shown = "".join(await pages("imported-events-red"))
    assert "| 7 | an unknown word for the event: give its meaning under names |" in shown
    assert "@" not in shown + caplog.text
    with closing(sqlite3.connect(state)) as connection:
        listed = connection.execute("SELECT email, source FROM suppressions").fetchall()
    assert listed == [(mails[5]["To"], "events of red")]
    failed = await import_events("red", {"path": str(tmp_path / "no.csv")}, return_state=True)
    assert failed.is_failed()
    assert "cannot be opened" in (failed.message or "")


async def test_what_the_provider_reports_is_in_the_report(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    save_block("red", servers["red"], identity={"provider": "sendgrid"}, events_key=PUBLIC)
    routes = [{"connection": "red", "percent": 100}]
    final = await run(document(write_csv(tmp_path / "r.csv", 50), routes=routes))
    assert final.is_completed(), final.message
    mails = [message_from_bytes(one.content, policy=default) for one in servers["red"].received]
    tokens = [json.loads(mail["X-SMTPAPI"])["unique_args"]["mailsluice"] for mail in mails]
    *_, first = reports = await pages("campaign-spring-sale")
    assert "Deliveries" not in first
    now = time.time()
    nobody = {"reason": "550 5.1.1 no such user", "type": "bounce"}
    happened: list[tuple[str, dict[str, str]]]
    happened = [("delivered", {})] * 47 + [("bounce", nobody)] * 2 + [("spamreport", {})]
    events = [
        payloads.sendgrid(
            kind,
            email=mail["To"],
            mailsluice=token,
            sg_event_id=f"{number}",
            timestamp=int(now) + 1,
            **fields,
        )
        for number, ((kind, fields), mail, token) in enumerate(
            zip(happened, mails, tokens, strict=False)
        )
    ]
    genuine = sendgrid(json.dumps(events).encode(), at=now)
    with serving() as client:
        for _ in range(2):
            response = client.post(
                "/events/red", content=genuine.body, headers=dict(genuine.headers)
            )
            assert (response.status_code, response.text) == (200, "recorded\n")
        assert client.post("/events/red", content=genuine.body).status_code == 401
        assert client.post("/events/green", content=b"[]").status_code == 404
    # The receiver has changed the run's report itself: there is no further version of it.
    *others, text = await pages("campaign-spring-sale")
    assert [*others, first] == reports
    shown = "| red | 50 | 48 | 0 | 2 | 0 | 0 | 1 | 0 |"
    assert shown in text
    assert text.count("## Deliveries") == 1
    assert "rate/s" in text  # what only the run knew is still there
    assert (await report_campaign("spring-sale", return_state=True)).is_completed()
    *_, later = await pages("campaign-spring-sale")
    assert shown in later
    with closing(sqlite3.connect(state)) as connection:
        listed = dict(connection.execute("SELECT email, reason FROM suppressions").fetchall())
    assert listed == {
        mails[47]["To"]: "bounced",
        mails[48]["To"]: "bounced",
        mails[49]["To"]: "complained",
    }
