"""Sockets, files and event loops that a test leaves open: LEAKS=1 fails the test that leaves them.

An object that nobody closes is closed by the garbage collector: with a warning, while some later
test runs. To collect after each test would cost much, so the descriptors are compared first: what
is left open has one. That of an object in use, such as a fixture of the session, fails no test.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Generator, Set
from contextlib import suppress

import pytest

IS_WATCHED = bool(os.environ.get("LEAKS"))
_DESCRIPTORS = "/proc/self/fd"
_before = pytest.StashKey[Set[object]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Note which descriptors are open before the test."""
    if IS_WATCHED:
        item.stash[_before] = descriptors()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail if a new descriptor belongs to garbage."""
    result = yield
    if IS_WATCHED and descriptors() - item.stash[_before]:
        item.funcargs.clear()  # type: ignore[attr-defined]  # the last who hold what fixtures gave
        if left := left_open():
            pytest.fail("left open:\n" + "\n".join(left), pytrace=False)
    return result


def descriptors() -> Set[tuple[str, str]]:
    """Give the number of each open descriptor, and what it refers to (Linux)."""
    found = set()
    with suppress(FileNotFoundError), os.scandir(_DESCRIPTORS) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another thread has closed it
                found.add((entry.name, os.readlink(entry.path)))  # noqa: PTH115 - takes half as long
    return found


def left_open() -> list[str]:
    """Collect the garbage; give what warns that it was not closed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    return [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)]
