"""Groups of tests that share a server: `--dist loadgroup` runs each in one process.

pytest-xdist 3.8 names the group of a test in the test's id, where its scheduler looks for it, but
not in a way that pytest 9.2 takes up: without this every test is scheduled for itself.
"""

from __future__ import annotations

import pytest

LONGEST = (
    "served-2",
    "flows-2",
    "served-1",
    "flows-1",
    "cluster",
    "browser",
    "served-3",
)
"""Groups that start first: what often waits runs beside what keeps a core busy.

The scheduler starts groups in the order of their tests (`--no-loadscope-reorder`).
"""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest groups first, and name each group in the ids of its tests.

    Runs after all marks are there.
    """
    if not getattr(config.option, "loadgroup", False):  # set in the processes of pytest-xdist
        return
    for item in items:
        if group := _group(item):
            named = f"@{group}"
            if not item.nodeid.endswith(named):
                item._id = type(item.id).parse(f"{item.nodeid}{named}")
    items.sort(key=_rank)


def _group(item: pytest.Item) -> str:
    """Give the name of a test's group; empty for a test that is in none."""
    return "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))


def _rank(item: pytest.Item) -> int:
    """Give the place of a test's group: the longest, other groups, tests without a group."""
    group = _group(item)
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + (not group)
