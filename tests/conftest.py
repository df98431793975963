"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

settings.register_profile("mailsluice", deadline=None)  # no test fails on a clock
settings.load_profile("mailsluice")

_ONE_AFTER_ANOTHER = "tests/cluster/"  # one cluster is enough for a machine


class _ByFile(LoadFileScheduling):
    """A file of tests to a process, in their order: those that wait for minutes come first."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_ONE_AFTER_ANOTHER):
            return _ONE_AFTER_ANOTHER
        return str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile:
    return _ByFile(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are processors: half of the time tests wait for somebody's clock."""
    return min(8, 2 * (os.cpu_count() or 1))
