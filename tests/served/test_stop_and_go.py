"""Suspend, Resume, Cancel, Retry and SIGTERM act on a running campaign, nobody gets it twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sending import RECIPIENTS, Sending
from tests.smtpd import Settings, SmtpServer


def test_a_suspended_campaign_goes_on_where_it_stopped(sending: Sending) -> None:
    sending.start()
    sending.wait_for(60)
    sending.suspend()
    sending.is_quiet_within(10)
    assert sending.state()["name"] == "Suspended"
    assert "Running" not in [child["state_name"] for child in sending.children()]
    assert 60 <= sending.received.total() < RECIPIENTS
    sending.served.api.post(f"/flow_runs/{sending.id}/resume").raise_for_status()
    assert sending.until_state("Completed", "Failed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert "Traceback" not in sending.log()


def test_a_suspension_that_timed_out_can_be_retried(sending: Sending) -> None:
    sending.start()
    sending.wait_for(60)
    sending.suspend(seconds=3)
    sending.is_quiet_within(10)
    assert sending.until_state("Failed", "Completed", "Crashed")["name"] == "Failed"
    assert sending.received.total() < RECIPIENTS
    sending.set_state("SCHEDULED", "AwaitingRetry")
    assert sending.until_state("Completed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()


@pytest.mark.parametrize("with_subflows", [False, True])
def test_a_cancelled_campaign_sends_nothing_any_more(sending: Sending, with_subflows: bool) -> None:
    sending.start()
    sending.wait_for(60)
    for child in sending.children() if with_subflows else ():  # a box to tick in the UI
        sending.set_state("CANCELLING", "Cancelling", of=child["id"])
    sending.set_state("CANCELLING", "Cancelling")
    sending.is_quiet_within(10)
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    rows = sending.rows()
    assert rows == {"sent": sending.received.total(), "cancelled": rows["cancelled"]}
    assert rows.total() == RECIPIENTS
    assert {child["state_type"] for child in sending.children()} == {"CANCELLED"}
    assert "Crashed" not in sending.history()
    assert "Traceback" not in sending.log()


def test_a_terminated_campaign_finishes_what_is_in_flight_and_goes_on_by_itself(
    sending: Sending,
) -> None:
    sending.start()
    sending.wait_for(60)
    os.kill(sending_process(sending), signal.SIGTERM)
    # The automation that `make serve` installs does what Retry does.
    assert sending.until_state("Completed", "Failed", "Cancelled")["name"] == "Completed"
    history = sending.history()
    assert "Crashed" in history
    assert history.index("AwaitingRetry") > history.index("Crashed")
    assert "Traceback" not in sending.log()
    sending.everybody_got_it_once()


def test_a_second_run_of_the_same_campaign_is_refused_naming_the_first(sending: Sending) -> None:
    slow = {"per_second": 20}
    sending.start(throttle=slow)
    sending.wait_for(20)
    first, name = sending.id, sending.name
    sending.start(throttle=slow)
    state = sending.until_state("Failed", "Completed", "Crashed")
    assert state["name"] == "Failed"
    assert f"is being sent by run '{name} ({first})" in state["message"]
    assert "Traceback" not in sending.log()
    sending.id = first
    sending.set_state("CANCELLING", "Cancelling")
    sending.until_state("Cancelled")


def test_a_failed_run_is_finished_by_retry(
    sending: Sending, save_connection: Callable[..., None]
) -> None:
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        login = {"username": "u", "allow_plain_password": True}
        save_connection("green", port=demanding.port, password="wrong", **login)
        sending.start(throttle={})
        state = sending.until_state("Failed", "Completed", "Crashed")
        assert "280 of 400 sent, 120 pending; green is down: login: 535" in state["message"]
        save_connection("green", port=sending.servers["green"].port)
        sending.set_state("SCHEDULED", "AwaitingRetry")
        assert sending.until_state("Completed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()


def sending_process(sending: Sending) -> int:
    """The process that runs the campaign: the one that has a journal of this server's open."""
    journals = str(sending.served.state.parent / "journals")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if any(file.startswith(journals) and file.endswith(".journal") for file in files):
            return int(folder.name)
    raise AssertionError(f"no process is sending {sending.name}")
