"""What an operator asks of a run before it sends."""

from __future__ import annotations

from typing import Any, cast

from flows.support.server_events import ServerEvents
from flows.support.stopping import StopReason, StopRequest


class Run:
    """A campaign's run that takes note."""

    on_hold = False
    is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def test_a_run_paused_during_its_launch_is_on_hold() -> None:
    request, run = StopRequest(ServerEvents()), Run()
    request.hold(True)
    request.attach(cast("Any", run))
    assert run.on_hold
    request.hold(False)
    assert not run.on_hold
    assert not run.is_stopped


def test_a_run_suspended_during_its_launch_stops() -> None:
    request, run = StopRequest(ServerEvents()), Run()
    request.make(StopReason.SUSPENDED)
    request.attach(cast("Any", run))
    assert run.is_stopped
