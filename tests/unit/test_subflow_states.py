"""The states of the subflows of a campaign that was suspended."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State

from flows.support import stopping
from flows.support.stopping import STOPPED, StopReason, show_subflows


class FakePrefect:
    """The calls of Prefect's client, for runs that are kept here."""

    def __init__(self, runs: Sequence[SimpleNamespace]) -> None:
        self._runs = runs
        self.changed: dict[UUID, str | None] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read_flow_runs(self, flow_run_filter: FlowRunFilter) -> list[Any]:
        assert flow_run_filter.state
        assert flow_run_filter.state.name
        names = flow_run_filter.state.name.any_ or []
        return [run for run in self._runs if run.state_name in names]

    async def set_flow_run_state(self, run_id: UUID, state: State[Any], *, force: bool) -> None:
        assert force
        self.changed[run_id] = state.name


def subflow(state_name: str, deployment_id: UUID | None = None) -> SimpleNamespace:
    return SimpleNamespace(id=uuid4(), state_name=state_name, deployment_id=deployment_id)


async def test_a_subflow_is_suspended_whichever_process_noticed_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect's engine leaves it Running; without that it has ended Stopped."""
    running, stopped, done = subflow("Running"), subflow(STOPPED), subflow("Completed")
    on_worker = subflow(STOPPED, uuid4())  # the resumed campaign starts another run
    prefect = FakePrefect([running, stopped, done, on_worker])
    monkeypatch.setattr(stopping, "get_client", lambda: prefect)
    await show_subflows(uuid4(), StopReason.SUSPENDED)
    assert prefect.changed == {running.id: "Suspended", stopped.id: "Suspended"}


async def test_a_cancelled_campaign_leaves_stopped_subflows_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelling, stopped = subflow("Cancelling"), subflow(STOPPED)
    prefect = FakePrefect([cancelling, stopped])
    monkeypatch.setattr(stopping, "get_client", lambda: prefect)
    await show_subflows(uuid4(), StopReason.CANCELLED)
    assert prefect.changed == {cancelling.id: "Cancelled"}
