"""Processes of a run that start and are replaced at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.forked.asynchronous import create_forked_exec


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for the dead are frequent, and a dead process is replaced at once."""
    monkeypatch.setattr("mailsluice.operations.processes.processes._LOOK_SECONDS", 0.1)
    monkeypatch.setattr("mailsluice.operations.processes.processes._RESTART_SECONDS", (0.0,) * 3)


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forks, where nothing depends on their start: that is most of their work.

    Interpreters are started where they inherit locks, and where a process of a run that is killed
    starts them.
    """

    async def start(*command: str, **options: Any) -> Any:
        return await (create if options["pass_fds"] else create_forked_exec)(*command, **options)

    create = asyncio.create_subprocess_exec
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
