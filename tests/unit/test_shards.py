"""How a campaign's run judges the runs of its shards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Pending, Running

from flows.support.shards import _has_died, shards_of
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Ending, SenderRecord

LIVING = SenderRecord(
    id=1,
    connection="red",
    owner="a run",
    journal="a journal",
    started_at=0.0,
    is_expired=False,
    standing=None,
    ended_at=None,
    ending=None,
    detail=None,
    next_at=None,
)
LOST = replace(LIVING, ending=Ending.LOST)


@pytest.mark.parametrize(
    ("state", "started_seconds_ago", "sender", "has_died"),
    [
        (Running, 30, None, False),  # it still loads
        (Running, 130, None, True),
        (Running, 130, LIVING, False),
        (Running, 1, LOST, True),
        (Pending, None, None, False),
    ],
)
def test_a_run_without_a_process_has_died(
    state: Callable[[], State[Any]],
    started_seconds_ago: int | None,
    sender: SenderRecord | None,
    has_died: bool,
) -> None:
    start = started_seconds_ago and datetime.now(UTC) - timedelta(seconds=started_seconds_ago)
    run = FlowRun(flow_id=uuid4(), state=state(), start_time=start)
    assert _has_died(run, sender) is has_died


def test_a_pending_run_that_does_not_begin_has_died() -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=11)
    pending: State[Any] = Pending(timestamp=long_ago)
    assert _has_died(FlowRun(flow_id=uuid4(), state=pending), None)


@pytest.mark.parametrize(
    ("sessions", "a_worker", "number"), [(1, 20, 1), (20, 20, 1), (21, 20, 2), (50, 20, 3)]
)
def test_a_connection_is_divided_by_its_sessions(sessions: int, a_worker: int, number: int) -> None:
    connection = Connection("red", "mail.example", 25, Security.NONE, max_sessions=sessions)
    shards = shards_of(connection, a_worker)
    assert [(one.number, one.of) for one in shards] == [(i + 1, number) for i in range(number)]
