"""What a run does about the console of a worker that is no more."""

from __future__ import annotations

import logging
from functools import partial

from prefect.logging.handlers import PrefectConsoleHandler


def outlive_console() -> None:
    """Let lines of log that nobody reads any more be dropped.

    A worker that is killed leaves its runs alive, with a broken pipe for a console. There, the
    library that Prefect prints with ends the thread that has something to say, without a word: the
    next warning of the engine would stop it for good. (`rich.console.Console.on_broken_pipe` is
    made to be replaced.)
    """
    for name in ("", "prefect"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                console = handler.console
                console.on_broken_pipe = partial(setattr, console, "quiet", True)  # type: ignore[method-assign]
