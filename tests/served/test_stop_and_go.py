"""Suspend, Cancel, Retry and SIGTERM act on a running campaign, nobody gets it twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from tests.campaign_processes import PATIENT
from tests.eventually import eventually
from tests.sending import RECIPIENTS, SLOW, Sending
from tests.served.processes import journal_holders
from tests.smtpd import Settings, SmtpServer


def test_a_terminated_run_goes_on_by_itself_and_one_whose_suspension_timed_out_by_retry(
    sending: Sending, save_connection: Callable[..., None]
) -> None:
    """`test_processes.py` and `test_workers.py` have Resume."""
    red, green = sending.servers["red"], sending.servers["green"]
    sending.connect(**SLOW, **PATIENT)
    sending.start()
    sending.wait_for(3)
    (process,) = eventually(lambda: journal_holders(sending.served), lambda found: len(found) == 1)
    os.kill(process, signal.SIGTERM)
    sending.until_it_runs_again()

    before = len(green.received)
    red.hold(after=len(red.received) + 1)
    eventually(
        lambda: red.held and len(green.received) > before, what="mail over both, and some in flight"
    )
    sending.suspend()
    eventually(lambda: green.open == 0, what="the run takes note: idle sessions are closed")
    red.release()
    sending.until_quiet()
    assert sending.state()["name"] == "Suspended"
    eventually(
        lambda: [child["state_name"] for child in sending.children()],
        lambda states: "Running" not in states,
    )
    assert sending.is_in_the_middle()
    assert sending.rows()["uncertain"] == 0  # the replies that were held back still counted

    sending.let_suspension_time_out()
    assert sending.until_state("Failed", "Completed", "Crashed")["name"] == "Failed"
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        login = {"username": "u", "allow_plain_password": True}
        sending.connect()
        save_connection("green", port=demanding.port, password="wrong", **login)
        sending.set_state("SCHEDULED", "AwaitingRetry")
        state = sending.until_state("Failed", "Completed", "Crashed")
    sent = 280 + len(green.received)
    failure = f"{sent} of 400 sent, {400 - sent} pending; green is down: login: 535"
    assert failure in state["message"]

    sending.connect()
    sending.set_state("SCHEDULED", "AwaitingRetry")
    assert sending.until_state("Completed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert "Traceback" not in sending.log()


def test_a_second_run_is_refused_naming_the_first_and_cancelled_the_first_sends_nothing_any_more(
    sending: Sending,
) -> None:
    sending.connect(**SLOW)
    sending.start()
    sending.wait_for(3)
    first, name = sending.id, sending.name

    sending.start()
    state = sending.until_state("Failed", "Completed", "Crashed")
    assert state["name"] == "Failed"
    assert f"is being sent by run '{name} ({first})" in state["message"]
    assert "Traceback" not in sending.log()

    sending.id = first
    (child, *_) = sending.children()
    # In the UI, Cancel has a box to tick for the subflows: one of the two is cancelled by that.
    sending.set_state("CANCELLING", "Cancelling", of=child["id"])
    sending.set_state("CANCELLING", "Cancelling")
    sending.until_quiet()
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    rows = sending.rows()
    assert rows == {"sent": sending.total(), "cancelled": rows["cancelled"]}
    assert rows.total() == RECIPIENTS
    assert sending.is_in_the_middle()
    assert [child["state_type"] for child in sending.children()] == ["CANCELLED", "CANCELLED"]
    assert "Crashed" not in sending.history()
    assert "Traceback" not in sending.log()
