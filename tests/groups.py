"""Groups of tests that share a server: `--dist loadgroup` runs each in one process.

The scheduler of pytest-xdist 3.8 looks for a test's group in the test's id, but the way in which
pytest-xdist writes it there has no effect in pytest 9.2: without this module every test would be
scheduled on its own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

LONGEST = (
    "browser",
    "cluster",
    "flows-2",
    "flows-1",
    "served-1",
    "served-2",
)
"""The groups that take longest, the longest first: they start first, so none is left for the end.

The scheduler starts groups in the order of their tests (`--no-loadscope-reorder`).
"""
TOGETHER = Path(__file__).with_name("unit")
"""The tests of a module of this folder run in one process.

Most take milliseconds, less than it takes to schedule them one by one, and what a module needs is
loaded once: matplotlib, a simulation, the modules that each flow loads.
"""


def items_beside(conftest: str, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests of the folder of a `conftest.py`, whose hooks are told of all tests.

    (Path.is_relative_to takes a fortieth of the time of pytest's collection.)
    """
    folder = f"{Path(conftest).parent}{os.sep}"
    return [item for item in items if str(item.path).startswith(folder)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests into the order in which they start, and name each group in the ids of its tests.

    The hook runs after those that add marks.
    """
    if not getattr(config.option, "loadgroup", False):  # set in the processes of pytest-xdist
        return
    for item in items:
        if group := _group(item) or module_group(item.path):
            named = f"@{group}"
            if not item.nodeid.endswith(named):
                item._id = type(item.id).parse(f"{item.nodeid}{named}")
    places = _places(items)
    items.sort(key=lambda item: places[item.nodeid])


def _group(item: pytest.Item) -> str:
    """Give the name of a test's group; empty for a test that is in none."""
    return "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))


@cache
def module_group(path: Path) -> str:
    """Give the name of the group that the tests of a module make; empty for most folders."""
    if TOGETHER not in path.parents:
        return ""
    return "-".join(path.relative_to(TOGETHER).with_suffix("").parts)


def _places(items: Sequence[pytest.Item]) -> dict[str, tuple[int, float]]:
    """Give the place of each test, by its id.

    The longest groups come first, then the other groups, and then the tests without a group: those
    of different folders by turns, since some folders wait often and others keep a core busy.
    """
    places = {item.nodeid: (_rank(_group(item)), 0.0) for item in items}
    alone = [item for item in items if not _group(item)]
    sizes = Counter(item.path.parent for item in alone)
    before: Counter[Path] = Counter()
    for item in alone:
        folder = item.path.parent
        places[item.nodeid] = (_rank(""), before[folder] / sizes[folder])
        before[folder] += 1
    return places


def _rank(group: str) -> int:
    if group in LONGEST:
        return LONGEST.index(group)
    return len(LONGEST) + (not group)
