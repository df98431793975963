"""The dispatch 'workers': connections are sent over by runs of their own, several of them each."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from typing import Any

from tests.eventually import eventually
from tests.sending import RECIPIENTS, SLOW, Sending
from tests.served.processes import journal_holders

HOURS = 0.1  # minutes of mail left, however slow the machine is
WORKERS: dict[str, Any] = {"dispatch": "workers"}


def test_they_outlive_their_campaigns_process_and_stop_and_go_with_the_campaign(
    sending: Sending,
) -> None:
    sending.connect(**SLOW)
    sending.start(**WORKERS)
    eventually(lambda: len(senders(sending)) == 2, what="both send")
    os.kill(campaign_process(sending), signal.SIGKILL)
    sending.until_it_runs_again()
    sending.wait_for(sending.total() + 3)

    sending.suspend()
    sending.until_quiet()
    assert sending.state()["name"] == "Suspended"
    found_at_work = sending.children()
    assert sorted(child["name"] for child in found_at_work) == [
        f"Send over {name}: {sending.name}" for name in ("green", "red")
    ]
    assert {child["state_name"] for child in found_at_work} == {"Stopped"}
    assert sending.is_in_the_middle()

    sending.connect()
    sending.served.api.post(f"/flow_runs/{sending.id}/resume").raise_for_status()
    assert sending.until_state("Completed", "Failed", "Crashed")["name"] == "Completed"
    sending.everybody_got_it_once()
    assert {name: len(one.received) for name, one in sending.servers.items()} == {
        "red": 280,
        "green": 120,
    }
    states = Counter(child["state_name"] for child in sending.children())
    assert states == {"Stopped": 2, "Completed": 2}
    assert "Traceback" not in sending.log()


def test_two_share_a_connection_a_killed_one_is_replaced_and_cancelled_they_send_nothing_any_more(
    sending: Sending,
) -> None:
    """They keep the even pace of the connection together."""
    sending.connect(max_sessions=5)
    only_red = [{"connection": "red", "percent": 100}]
    sending.start(routes=only_red, sessions_per_worker=3, spread_over=HOURS, **WORKERS)
    eventually(lambda: len(senders(sending)) == 2, what="both send")
    begun = time.monotonic() - (time.time() - spread_since(sending))
    sending.wait_for(3)
    killed, survivor = senders(sending)
    # The campaign's own process holds the dead sender's journal while it takes over.
    before = {killed, survivor, campaign_process(sending)}
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: set(senders(sending)) - before, what="another one sends in its place")
    sending.wait_for(sending.total() + 3)

    sending.set_state("CANCELLING", "Cancelling")
    sending.until_quiet()
    assert sending.until_state("Cancelled")["type"] == "CANCELLED"
    assert sending.is_in_the_middle()
    assert set(sending.received.values()) == {1}
    rows = sending.rows()
    # The server has it, or had the final dot when the process died: nobody knows, nobody resends.
    assert rows["uncertain"] <= 3
    assert rows["sent"] + rows["uncertain"] + rows["cancelled"] == RECIPIENTS
    states = Counter(child["state_name"] for child in sending.children())
    assert (states["Crashed"], states.total()) == (1, 3)
    sent_until = max(message.time for message in sending.servers["red"].received)
    assert sending.total() <= 2 + 1.02 * RECIPIENTS * (sent_until - begun) / (3_600 * HOURS)
    names = {f"Send over red ({number} of 2): {sending.name}" for number in (1, 2)}
    assert {child["name"] for child in sending.children()} == names


def spread_since(sending: Sending) -> float:
    """Give the moment from which the campaign is spread, in seconds since the epoch."""
    with sqlite3.connect(sending.served.state) as connection:
        query = "SELECT spread_since FROM campaigns WHERE name = ?"
        return float(connection.execute(query, (sending.name,)).fetchone()[0])


def senders(sending: Sending) -> list[int]:
    """Give the processes that send on behalf of a campaign's run."""
    return journal_holders(sending.served, "sender-")


def campaign_process(sending: Sending) -> int:
    """Give the process of the campaign's run."""
    (found,) = set(journal_holders(sending.served)) - set(senders(sending))
    return found
