"""Session slots against a real Prefect server, with campaigns in processes of their own."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.campaign_processes import PATIENT, Prefect, Start, end_of, until_logged
from tests.children import children
from tests.eventually import eventually
from tests.smtpd import Settings, SmtpServer

SLOW = Settings(delay_seconds=0.2)
"""A server far away, so that a campaign needs as many sessions as it may open."""


def campaign_with_both_sessions(
    prefect: Prefect, start: Start, smtp: SmtpServer, **fields: Any
) -> subprocess.Popen[str]:
    """Start a campaign that is in the middle of a message in each session that there may be."""
    smtp.hold()
    prefect.connect(smtp, max_sessions=2, **fields, **PATIENT)
    process: subprocess.Popen[str] = start("one", 300)
    eventually(lambda: smtp.held == 2, what="the campaign has both sessions")
    return process


def test_two_campaigns_at_once_open_no_more_sessions_than_one_may(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        one = campaign_with_both_sessions(prefect, start, smtp, messages_per_session=20)
        other = start("other", 300, machine="two")
        until_it_waits(other)
        smtp.release()
        assert end_of(one)[0] == end_of(other)[0] == "COMPLETED 300 of 300 sent"
        assert smtp.most_open == 2
        assert set(smtp.recipients.values()) == {2}
    assert prefect.taken() == 0


def test_two_campaigns_over_two_connections_to_a_host_share_its_sessions(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        prefect.save_as("green", smtp, max_sessions=2, max_sessions_per_host=2, **PATIENT)
        red = campaign_with_both_sessions(
            prefect, start, smtp, max_sessions_per_host=5, messages_per_session=20
        )
        green = start("green", 300, machine="two", routes=[{"connection": "green"}])
        until_it_waits(green)
        smtp.release()
        assert end_of(red)[0] == end_of(green)[0] == "COMPLETED 300 of 300 sent"
        assert smtp.most_open == 2
    assert prefect.taken("smtp-host-127.0.0.1") == prefect.taken("smtp-green") == 0


def test_a_limit_is_lowered_and_raised_while_a_campaign_runs(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer(SLOW) as smtp:
        prefect.connect(smtp, max_sessions=4)
        process = start("long", 50_000, throttle={"per_second": 60})
        until_open(smtp, 4)
        for limit in (1, 3, 0, 2):
            prefect.set(limit=limit)
            until_open(smtp, limit)
        prefect.set(active=False)
        until_open(smtp, 4)
        prefect.set(active=True)
        until_open(smtp, 2)
        eventually(prefect.taken, lambda taken: taken == 2)
        process.send_signal(signal.SIGTERM)
        state, log = end_of(process)
        assert state.startswith("CRASHED stopped by SIGTERM")
        assert smtp.most_open == 4
        assert set(smtp.recipients.values()) == {1}
    assert prefect.taken() == 0
    assert "limit smtp-red is lower than the block's max_sessions (4)" in log
    assert "sends nothing: limit smtp-red is 0" in log
    assert "limit smtp-red is deactivated" in log


def test_slots_of_a_killed_process_come_back(prefect: Prefect, start: Start) -> None:
    with SmtpServer() as smtp:
        killed = campaign_with_both_sessions(prefect, start, smtp)
        elsewhere = start("elsewhere", 50, machine="two")
        until_it_waits(elsewhere)
        killed.kill()
        killed.wait()
        assert prefect.taken() == 2
        prefect.expire_leases()
        smtp.release()
        assert end_of(elsewhere)[0] == "COMPLETED 50 of 50 sent"
        assert smtp.most_open == 2
    assert prefect.taken() == 0


def test_slots_of_a_killed_process_come_back_at_once_on_its_machine(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        killed = campaign_with_both_sessions(prefect, start, smtp)
        killed.kill()
        killed.wait()
        assert prefect.taken() == 2
        smtp.release()
        state, log = end_of(start("next", 50))
        assert state == "COMPLETED 50 of 50 sent"
        assert "waits for a session" not in log
    assert prefect.taken() == 0


def test_processes_of_a_run_have_the_file_of_its_leases_open(
    prefect: Prefect, start: Start, tmp_path: Path
) -> None:
    """So that the slots of a killed run stay taken until its processes have ended, too."""
    leases = tmp_path / "one" / "session-leases"
    with SmtpServer() as smtp:
        smtp.hold()
        prefect.connect(smtp, max_sessions=2, **PATIENT)
        run = start("held", 50, processes=2)
        eventually(lambda: smtp.held == 2)
        (file,) = leases.glob("*.leases")
        senders = children(run.pid)
        assert len(senders) == 2
        for pid in senders:
            assert file in [link.resolve() for link in Path(f"/proc/{pid}/fd").iterdir()]
        smtp.release()
        assert end_of(run)[0] == "COMPLETED 50 of 50 sent"
    assert not list(leases.iterdir())


def until_open(smtp: SmtpServer, sessions: int) -> None:
    """Wait until so many sessions are open."""
    eventually(lambda: smtp.open == sessions, what=f"{sessions} sessions are open")


def until_it_waits(process: subprocess.Popen[str]) -> None:
    """Wait until a campaign says that it has to wait for others' sessions."""
    until_logged(process, "waits for a session")
