"""Coverage of some folders in a run of all: `COVERAGE="tests/unit tests/integration" make test`.

Coverage adds two thirds to the processor time of a test. So it is on only while a test of these
folders runs, and off in the processes that other tests start. It is off for simulations, too, and
for laws in a thorough run: these test numbers rather than lines.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

from tests.thorough import IS_THOROUGH

ROOT = Path(__file__).resolve().parents[1]
_CHILDREN = "COVERAGE_PROCESS_CONFIG"
"""The variable that starts coverage in child processes."""


class Measuring:
    """A plugin of pytest that starts and stops the coverage of this process."""

    def __init__(self, coverage: Coverage, folders: list[str]) -> None:
        self._coverage = coverage
        self._folders = [ROOT / folder for folder in folders]
        self._for_children = os.environ.get(_CHILDREN, "")
        self._is_on = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run a test with or without coverage."""
        self._switch(self._is_measured(item))
        return (yield)

    def pytest_sessionfinish(self) -> None:
        self._switch(True)  # as before the tests: the figures are saved when the process ends

    def _is_measured(self, item: pytest.Item) -> bool:
        is_simulation = item.path.stem.endswith("_simulation")
        is_long_law = IS_THOROUGH and item.get_closest_marker("hypothesis")
        is_in_folders = any(item.path.is_relative_to(one) for one in self._folders)
        return is_in_folders and not (is_simulation or is_long_law)

    def _switch(self, is_on: bool) -> None:
        if is_on and not self._is_on:
            os.environ[_CHILDREN] = self._for_children
            self._coverage.start()
        elif self._is_on and not is_on:
            self._coverage.stop()
            os.environ.pop(_CHILDREN, None)
        self._is_on = is_on


def register(config: pytest.Config) -> None:
    """Take the folders from the environment; without coverage, or without folders, do nothing."""
    coverage = Coverage.current()
    if coverage and (folders := os.environ.get("COVERAGE", "").split()):
        config.pluginmanager.register(Measuring(coverage, folders))
