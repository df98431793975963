"""The leak finder names sockets, files and event loops that a test leaves open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.leaks import descriptors, left_open


@pytest.mark.parametrize(
    ("leave", "name"),
    [
        (socket.socket, "unclosed <socket.socket"),
        (Path(__file__).open, "unclosed file <_io.TextIOWrapper"),
        (asyncio.new_event_loop, "unclosed event loop"),
    ],
)
def test_what_is_garbage_and_open_is_named(leave: Callable[[], object], name: str) -> None:
    before = descriptors()
    cycle: list[object] = [leave()]
    cycle.append(cycle)
    assert descriptors() - before
    assert left_open() == []  # in use
    del cycle
    assert any(found.startswith(name) for found in left_open())
    assert descriptors() <= before  # of others' garbage, too
