"""A Prefect server that is a fork."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from deployments import server
from tests.forked.process import Forked
from tests.forked.settings import SERVER_SETTINGS


class Unthreaded(Forked):
    """The server's process, with `tests.forked.unthreaded` for `deployments.prefect_server`."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        interpreter, _, _, *rest = command
        super().__init__([interpreter, "-m", "tests.forked.unthreaded", *rest], **options)


@contextmanager
def prefect_server(
    api_url: str,
    home: Path,
    settings: Mapping[str, str] | None = None,
    *,
    threads: bool = True,
) -> Iterator[None]:
    """Run a Prefect server, with its files in `home`, for the length of a `with` block.

    It calls SQLite in threads, unless the test needs none.
    """
    with ExitStack() as running:
        with patch("deployments.server.Popen", Forked if threads else Unthreaded):
            own = {"PREFECT_HOME": str(home), **SERVER_SETTINGS, **(settings or {})}
            running.enter_context(server.prefect_server(api_url, own))
        yield
