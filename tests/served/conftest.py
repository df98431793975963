"""`make serve` for real, driven through the Prefect API."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaign_processes import prefect, start
from tests.sending import sending
from tests.serving import save_connection, served

__all__ = ["prefect", "save_connection", "sending", "served", "start"]

_HUNG_SECONDS = 900
"""Some tests start a dozen processes one after the other; a slow, busy machine takes its time."""
_GROUPS = {
    "test_stop_and_go.py": "served-1",
    "test_waiting.py": "served-1",
    "test_workers.py": "served-2",
    "test_processes.py": "served-2",
    "test_submitted_runs.py": "served-2",
    "test_other_sites.py": "served-2",
}
"""By file: which tests share a `make serve`, in one process of pytest-xdist; others share none."""
_OTHERS = "served-3"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make groups: `make serve` runs at most twice at once, however many processes run tests."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(_GROUPS.get(item.path.name, _OTHERS)))
            item.add_marker(pytest.mark.timeout(_HUNG_SECONDS))
