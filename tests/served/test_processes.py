"""`processes`: several processes of one run send; they stop, go and die with it."""

from __future__ import annotations

import os
import signal

from tests.eventually import eventually
from tests.sending import RECIPIENTS, SLOW, Sending
from tests.served.processes import journal_holders


def test_they_are_replaced_stop_and_go_with_their_run_and_end_with_a_killed_one(
    sending: Sending,
) -> None:
    sending.connect(**SLOW)
    sending.start(processes="2")
    killed, survivor = eventually(lambda: senders(sending), lambda found: len(found) == 2)
    sending.wait_for(2)
    (run,) = set(journal_holders(sending.served)) - {killed, survivor}
    os.kill(killed, signal.SIGKILL)
    eventually(
        lambda: set(senders(sending)) - {killed, run},
        lambda found: len(found) == 2,
        what="another one sends in its place",
    )

    sending.suspend()
    sending.until_quiet()
    assert sending.state()["name"] == "Suspended"
    assert senders(sending) == []
    assert sending.is_in_the_middle()

    sending.served.api.post(f"/flow_runs/{sending.id}/resume").raise_for_status()
    found = eventually(lambda: senders(sending), lambda found: len(found) == 2)
    sending.wait_for(sending.total() + 2)
    (run,) = set(journal_holders(sending.served)) - set(found)
    os.kill(run, signal.SIGKILL)
    eventually(lambda: not set(senders(sending)) & set(found), what="the orphans end")
    sending.until_it_runs_again()
    eventually(lambda: senders(sending), lambda found: len(found) == 2)
    sending.wait_for(sending.total() + 2)

    sending.set_state("CANCELLING", "Cancelling")
    sending.until_quiet()
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    assert set(sending.received.values()) == {1}
    rows = sending.rows()
    assert rows["uncertain"] <= 2  # what was in flight in the killed one
    assert rows["sent"] + rows["uncertain"] + rows["cancelled"] == RECIPIENTS
    assert "Traceback" not in sending.log()


def senders(sending: Sending) -> list[int]:
    """The processes that send on behalf of a campaign's run."""
    return journal_holders(sending.served, "sender-")
