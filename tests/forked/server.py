"""A Prefect server that is a fork."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from deployments import server
from tests.forked.process import Forked
from tests.forked.settings import SERVER_SETTINGS


@contextmanager
def prefect_server(
    api_url: str, home: Path, settings: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a Prefect server, with its files in `home`, for the length of a `with` block."""
    with ExitStack() as running:
        with patch("deployments.server.Popen", Forked):
            own = {"PREFECT_HOME": str(home), **SERVER_SETTINGS, **(settings or {})}
            running.enter_context(server.prefect_server(api_url, own))
        yield
