"""A campaign outside its sending window holds no worker; it comes back by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.eventually import eventually
from tests.sending import Sending

LEADS = [timedelta(seconds=seconds) for seconds in (10, 40, 120, 240)]
"""So long before the window opens a run is started, at least. It may take longer to begin."""


def test_outside_its_window_a_run_ends_and_comes_back_when_it_opens(sending: Sending) -> None:
    opens, state = started_before_it_opens(sending)
    when = datetime.fromisoformat(state["state_details"]["scheduled_time"])
    assert state["name"] == "Scheduled"
    assert timedelta(seconds=-1) < when - opens < timedelta(seconds=30)
    assert sending.total() == 0
    assert sending.rows() == {"pending": 400}

    sending.until_state("Completed")
    sending.everybody_got_it_once()
    first = min(one.time for server in sending.servers.values() for one in server.received)
    assert first + time.time() - time.monotonic() >= opens.timestamp()


def started_before_it_opens(sending: Sending) -> tuple[datetime, dict[str, Any]]:
    """Start a run that waits for its window; give when that opens, and the state of the run.

    A window opens at a whole minute, and a run that begins just before waits in its process. On a
    machine too slow for one lead the next is tried.
    """
    for lead in LEADS:
        soon = datetime.now(UTC) + lead + timedelta(minutes=1)
        opens = soon.replace(second=0, microsecond=0)
        hours = {"start": f"{opens:%H:%M}", "end": f"{opens + timedelta(hours=2):%H:%M}"}
        sending.start(
            f"{lead.seconds} s ahead: {sending.home.name}",
            sending_window={"days": "Mon-Sun", **hours},
        )
        state = eventually(
            sending.state,
            lambda seen: "waits until" in (seen["message"] or "") or seen["name"] == "Completed",
        )
        if state["name"] == "Scheduled":
            return opens, state
        for server in sending.servers.values():
            server.received.clear()
    raise AssertionError(f"no run began within {LEADS[-1]}")
