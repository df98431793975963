"""Forks behave as processes that an interpreter was started for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import Forked

SHOWN = """
import os, sys
from pathlib import Path
from prefect.settings import get_current_settings
print(sys.argv, os.environ["GIVEN"], get_current_settings().home, Path.cwd(), sep="\\n")
print("an error", file=sys.stderr)
import atexit; atexit.register(print, "at exit")
sys.exit(3)
"""


def test_a_fork_has_the_environment_folder_settings_and_exit_status_of_its_start(
    tmp_path: Path,
) -> None:
    environment = {"GIVEN": "by the test", "PREFECT_HOME": str(tmp_path / "home")}
    fork = Forked(
        [sys.executable, "-c", SHOWN, "argument"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    said, _ = fork.communicate()
    assert said.splitlines() == [
        "['-c', 'argument']",
        "by the test",
        str(tmp_path / "home"),
        str(tmp_path),
        "an error",
        "at exit",
    ]
    assert fork.returncode == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_ends_a_fork_and_is_its_exit_status(number: signal.Signals) -> None:
    program = "print('runs', flush=True); import time; time.sleep(3600)"
    fork = Forked([sys.executable, "-c", program], env=os.environ, stdout=subprocess.PIPE)
    assert fork.stdout
    assert fork.stdout.readline() == "runs\n"
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0)
    assert os.getsid(fork.pid) == fork.pid
    fork.send_signal(number)
    assert fork.wait() == -number
    fork.kill()  # it has ended: no signal reaches another process


def test_an_error_is_printed_and_is_an_exit_status() -> None:
    fork = Forked([sys.executable, "-c", "1 / 0"], env=os.environ, stdout=subprocess.PIPE)
    said, _ = fork.communicate()
    assert "ZeroDivisionError" in said
    assert fork.returncode == 1
