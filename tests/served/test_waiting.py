"""A campaign outside its sending window holds no worker; it comes back by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.eventually import eventually
from tests.sending import Sending


def test_outside_its_window_a_run_ends_until_its_deployment_starts_it_again(
    sending: Sending,
) -> None:
    """Started too early, it ends again: so the moment of the opening needs not be awaited here."""
    opens = (datetime.now(UTC) + timedelta(hours=2)).replace(second=0, microsecond=0)
    hours = {"start": f"{opens:%H:%M}", "end": f"{opens + timedelta(hours=2):%H:%M}"}
    sending.start(sending_window={"days": "Mon-Sun", **hours})
    until_it_waits_for(sending, opens)

    sending.set_state("SCHEDULED", "Scheduled", scheduled_time=datetime.now(UTC).isoformat())
    eventually(
        sending.history, lambda states: states.count("Running") == 2, what="it is started again"
    )
    until_it_waits_for(sending, opens)
    assert "Crashed" not in sending.history()


def until_it_waits_for(sending: Sending, opens: datetime) -> None:
    """Wait until the run has ended for now, to be started when the window opens."""
    state = eventually(sending.state, lambda seen: "waits until" in (seen["message"] or ""))
    when = datetime.fromisoformat(state["state_details"]["scheduled_time"])
    assert state["name"] == "Scheduled"
    assert timedelta(seconds=-1) < when - opens < timedelta(seconds=30)
    assert sending.total() == 0
    assert sending.rows() == {"pending": 400}
