"""The PostgreSQL server of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.eventually import eventually

PROGRAM = """
import time
from tests.postgresql import postgresql
with postgresql() as server:
    print(server.get_pid(), server.pgdata.parent, flush=True)
    time.sleep(3600)
"""


def test_a_server_ends_with_killed_tests_and_leaves_no_files() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout
        pid, folder = tests.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        tests.kill()
    eventually(lambda: not Path(folder).exists(), what="its files are deleted")
    assert not psutil.pid_exists(int(pid))
