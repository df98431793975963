"""Which failed tests CI runs again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import rerun


@pytest.mark.parametrize(
    ("failed", "says"),
    [
        ([], "not by a test"),  # the set-up, a crash of pytest itself
        (["tests/unit/test_a.py::test_b"], "may not run again failed: tests/unit"),
        (["tests/integration/test_a.py::test_b"], "may not run again failed: tests/integration"),
        (["tests/served/test_a.py::test_b", "tests/unit/test_a.py::test_b"], "tests/unit"),
        ([f"tests/browser/test_a.py::test_{number}" for number in range(3)], "3 tests failed"),
    ],
)
def test_pure_tests_and_more_than_two_failures_fail_the_run(failed: list[str], says: str) -> None:
    assert says in (rerun.refusal(failed) or "")


@pytest.mark.parametrize(("passes", "status"), [(True, 0), (False, 1)])
def test_one_flaky_test_is_named_where_it_passes_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    passes: bool,
    status: int,
) -> None:
    test = tmp_path / "tests" / "served" / "test_it.py"
    test.parent.mkdir(parents=True)
    test.write_text(f"def test_it():\n    assert {passes}\n")
    cache = tmp_path / rerun.LAST_FAILED
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({"tests/served/test_it.py::test_it@served-1": True}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # plugins take seconds to load

    assert rerun.main() == status
    assert ("FLAKY tests/served/test_it.py::test_it" in capsys.readouterr().out) is passes
