"""Keep a run alive when the console of its worker is gone."""

from __future__ import annotations

import logging
from functools import partial

from prefect.logging.handlers import PrefectConsoleHandler


def outlive_console() -> None:
    """Drop log lines to a console that is gone.

    The runs of a killed worker continue, with a broken pipe as their console. The library with
    which Prefect prints then silently ends the thread that logs, so the next warning of the engine
    would end the engine. `rich.console.Console.on_broken_pipe` is meant to be replaced.
    """
    for name in ("", "prefect"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                console = handler.console
                console.on_broken_pipe = partial(setattr, console, "quiet", True)  # type: ignore[method-assign]
