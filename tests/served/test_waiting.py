"""A campaign outside its sending window holds no worker; it comes back by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from tests.eventually import eventually
from tests.sending import Sending

_UNTIL_IT_BEGAN = timedelta(seconds=45)  # later it would wait for the opening where it is


def test_outside_its_window_a_run_ends_and_comes_back_when_it_opens(sending: Sending) -> None:
    soon = datetime.now(UTC) + _UNTIL_IT_BEGAN + timedelta(minutes=1)
    opens = soon.replace(second=0, microsecond=0)
    hours = {"start": f"{opens:%H:%M}", "end": f"{opens + timedelta(hours=2):%H:%M}"}
    sending.start(sending_window={"days": "Mon-Sun", **hours}, throttle={})

    state = eventually(sending.state, lambda seen: "waits until" in (seen["message"] or ""))
    when = datetime.fromisoformat(state["state_details"]["scheduled_time"])
    assert state["name"] == "Scheduled"
    assert abs(when - opens) < timedelta(seconds=3)
    assert sending.total() == 0
    assert sending.rows() == {"pending": 400}

    eventually(lambda: datetime.now(UTC), lambda now: now >= opens)
    sending.until_state("Completed")
    sending.everybody_got_it_once()
    first = min(one.time for server in sending.servers.values() for one in server.received)
    assert first + time.time() - time.monotonic() >= opens.timestamp()
