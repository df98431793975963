"""`make serve` for real, driven through the Prefect API."""

from __future__ import annotations

import pytest

from tests.campaign_processes import prefect, start
from tests.groups import items_beside
from tests.sending import sending
from tests.serving import save_connection, served

__all__ = ["prefect", "save_connection", "sending", "served", "start"]

_HUNG_SECONDS = 900
"""Some tests start a dozen processes one after the other; a slow, busy machine takes its time."""
_SHARING = {
    "test_other_sites.py",
    "test_processes.py",
    "test_stop_and_go.py",
    "test_submitted_runs.py",
    "test_waiting.py",
    "test_workers.py",
}
"""These share a `make serve`, in one process of pytest-xdist; the others share a Prefect server."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make two groups, so that what their tests share is started once."""
    for item in items_beside(__file__, items):
        number = 1 if item.path.name in _SHARING else 2
        item.add_marker(pytest.mark.xdist_group(f"served-{number}"))
        item.add_marker(pytest.mark.timeout(_HUNG_SECONDS))
