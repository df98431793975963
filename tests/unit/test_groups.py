"""Tests of one group run in one process of pytest-xdist."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.groups import LONGEST, module_group

ROOT = Path(__file__).resolve().parents[2]
TESTS = f"""
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(2))
def test_of_none(number):
    tell("none")

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(4))
def test_of_one(number):
    tell("one")

@pytest.mark.xdist_group("{LONGEST[0]}")
@pytest.mark.parametrize("number", range(4))
def test_of_the_longest(number):
    tell("{LONGEST[0]}")

def tell(group):
    with pathlib.Path(__file__).with_name("told").open("a") as file:
        file.write(f"{{group}} {{os.environ['PYTEST_XDIST_WORKER']}}\\n")
"""


OTHERS = """
import pathlib

def test_before(): tell("before")
def test_after(): tell("after")

def tell(name):
    with pathlib.Path(__file__).parents[1].joinpath("told").open("a") as file:
        file.write(f"{name} -\\n")
"""
"""In a folder of their own."""


def told(folder: Path, processes: int) -> list[tuple[str, str]]:
    """Run the tests; give the group of each and the process that ran it, in their order."""
    (folder / "test_groups.py").write_text(TESTS)
    (folder / "others").mkdir()
    (folder / "others" / "test_others.py").write_text(OTHERS)
    options = ["-p", "xdist", "-p", "tests.groups"]
    options += ["--numprocesses", str(processes), "--dist", "loadgroup"]
    options += ["--no-loadscope-reorder", "--rootdir", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, folder],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
        capture_output=True,
    )
    lines = (folder / "told").read_text().splitlines()
    return [(group, process) for group, process in map(str.split, lines)]


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    used = defaultdict(set)
    for group, process in told(tmp_path, processes=2):
        used[group].add(process)
    assert used.keys() >= {"none", "one", LONGEST[0]}
    assert all(len(used[group]) == 1 for group in ("one", LONGEST[0]))


def test_the_longest_groups_start_first_and_tests_without_a_group_last_by_turns(
    tmp_path: Path,
) -> None:
    groups = [group for group, _ in told(tmp_path, processes=1)]
    assert groups[:8] == [LONGEST[0]] * 4 + ["one"] * 4
    assert groups[8:] == ["before", "none", "after", "none"]


def test_a_module_of_unit_tests_stays_together_and_others_are_spread() -> None:
    """Names are those of xdist: without the dots and slashes that the name of a test has."""
    assert module_group(ROOT / "tests/unit/test_groups.py") == "test_groups"
    assert module_group(ROOT / "tests/unit/events/test_sns.py") == "events-test_sns"
    assert module_group(ROOT / "tests/integration/test_outbox.py") == ""
