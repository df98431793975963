"""Tests of one group run in one process of pytest-xdist."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import os, pathlib, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(4))
def test_of_one(number):
    tell("one")

@pytest.mark.xdist_group("other")
@pytest.mark.parametrize("number", range(4))
def test_of_other(number):
    tell("other")

def tell(group):
    with pathlib.Path(__file__).with_name("told").open("a") as file:
        file.write(f"{group} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    path = tmp_path / "test_groups.py"
    path.write_text(TESTS)
    options = ["-p", "tests.groups", "--numprocesses", "2", "--dist", "loadgroup"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "--rootdir", tmp_path, path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    told = [line.split() for line in (tmp_path / "told").read_text().splitlines()]
    processes = defaultdict(set)
    for group, process in told:
        processes[group].add(process)
    assert len(told) == 8
    assert all(len(used) == 1 for used in processes.values())
