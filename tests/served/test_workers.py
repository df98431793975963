"""The dispatch 'workers': connections are sent over by runs of their own, several of them each."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from tests.eventually import eventually
from tests.sending import RECIPIENTS, Sending

WORKERS = {"dispatch": "workers", "sessions_per_worker": 3}
"""Two runs a connection of five sessions."""


def test_each_connection_is_sent_over_by_runs_that_share_it(sending: Sending) -> None:
    sending.start(**WORKERS)
    assert sending.until_state("Completed", "Failed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert {name: len(one.received) for name, one in sending.servers.items()} == {
        "red": 280,
        "green": 120,
    }
    children = sending.children()
    assert sorted(child["name"] for child in children) == sorted(
        f"Send over {name} ({number} of 2): {sending.name}"
        for name in ("red", "green")
        for number in (1, 2)
    )
    assert {child["state_name"] for child in children} == {"Completed"}
    assert "Traceback" not in sending.log()


def test_a_killed_one_is_replaced_and_what_it_had_claimed_is_sent_by_others(
    sending: Sending,
) -> None:
    sending.start(**WORKERS)
    sending.wait_for(60)
    os.kill(next(iter(senders(sending))), signal.SIGKILL)
    state = sending.until_state("Completed", "Failed", "Crashed")
    assert state["name"] == "Completed"
    assert set(sending.received.values()) == {1}
    rows = sending.rows()
    # The server has it, or had the final dot when the process died: nobody knows, nobody resends.
    assert rows["sent"] + rows["uncertain"] == RECIPIENTS
    assert rows["uncertain"] <= 3
    assert len(sending.received) >= rows["sent"]
    states = Counter(child["state_name"] for child in sending.children())
    assert states["Crashed"] == 1


def test_a_suspended_campaign_stops_all_of_them_and_goes_on(sending: Sending) -> None:
    sending.start(**WORKERS)
    sending.wait_for(60)
    sending.suspend()
    sending.is_quiet_within(15)
    assert sending.state()["name"] == "Suspended"
    assert "Running" not in [child["state_name"] for child in sending.children()]
    assert 60 <= sending.received.total() < RECIPIENTS
    sending.served.api.post(f"/flow_runs/{sending.id}/resume").raise_for_status()
    assert sending.until_state("Completed", "Failed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert "Traceback" not in sending.log()


def test_a_cancelled_campaign_sends_nothing_any_more(sending: Sending) -> None:
    sending.start(**WORKERS)
    sending.wait_for(60)
    sending.set_state("CANCELLING", "Cancelling")
    sending.is_quiet_within(15)
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    rows = sending.rows()
    assert rows == {"sent": sending.received.total(), "cancelled": rows["cancelled"]}
    assert rows.total() == RECIPIENTS


def test_a_killed_campaign_finds_them_at_work(sending: Sending) -> None:
    sending.start(throttle={"per_second": 20}, **WORKERS)
    sending.wait_for(20)
    os.kill(campaign_process(sending), signal.SIGKILL)
    assert sending.until_state("Completed", "Failed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert len(sending.children()) == 4


def senders(sending: Sending) -> list[int]:
    """The processes that send on behalf of a campaign's run."""
    return eventually(lambda: list(_holders(sending, "sender-")), bool)


def campaign_process(sending: Sending) -> int:
    """The process of the campaign's run."""
    (found,) = set(_holders(sending, "")) - set(_holders(sending, "sender-"))
    return found


def _holders(sending: Sending, prefix: str) -> list[int]:
    """Those that have a journal of this server's open."""
    journals = str(sending.served.state.parent / "journals")
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            files = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        start = f"{journals}/{prefix}"
        if any(file.startswith(start) and file.endswith(".journal") for file in files):
            found.append(int(folder.name))
    return found
