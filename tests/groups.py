"""Groups of tests that share a server: `--dist loadgroup` runs each in one process.

pytest-xdist 3.8 names the group of a test in the test's id, where its scheduler looks for it, but
not in a way that pytest 9.2 takes up: without this every test is scheduled for itself.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name in each test's id the groups that it is marked with, after all marks are there."""
    if not getattr(config.option, "loadgroup", False):  # set in the processes of pytest-xdist
        return
    for item in items:
        groups = {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
        named = f"@{'_'.join(sorted(groups))}"
        if groups and not item.nodeid.endswith(named):
            item._id = type(item.id).parse(f"{item.nodeid}{named}")
