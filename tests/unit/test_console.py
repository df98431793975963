"""A run that outlives its worker has a broken pipe for a console."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from prefect.logging.handlers import PrefectConsoleHandler

from flows.support.console import outlive_console


@pytest.fixture
def warn() -> Iterator[logging.Logger]:
    """A logger that warns to Prefect's console, whose reading end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    root, logger = logging.getLogger(), logging.getLogger("mailsluice.test")
    stream = os.fdopen(writing, "w", buffering=1)
    handler = PrefectConsoleHandler(stream)
    root.addHandler(handler)
    yield logger
    root.removeHandler(handler)
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_run_with_a_broken_console_goes_on(warn: logging.Logger) -> None:
    outlive_console()
    warn.warning("the state database is away")
    warn.warning("and again")


def test_a_broken_console_would_end_the_thread_otherwise(
    warn: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why there is such a thing: where this fails, it can go."""
    monkeypatch.setattr("rich.console.os.dup2", lambda *_: None)  # that is pytest's own output
    with pytest.raises(SystemExit):
        warn.warning("the state database is away")
