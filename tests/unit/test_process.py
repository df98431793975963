"""Processes are identified, and known to be alive or dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mailsluice.core.process import Process, _place, _started

pytestmark = pytest.mark.skipif(not _place(), reason="there is no /proc here: nobody can tell")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def of(child: subprocess.Popen[bytes]) -> Process:
    return replace(Process.own(), pid=child.pid, started=_started(child.pid) or 0)


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    assert of(child).lives() is True


def test_a_killed_process_is_dead_even_as_a_zombie(child: subprocess.Popen[bytes]) -> None:
    process = of(child)
    child.kill()
    while _started(child.pid):  # the process dies a moment later
        pass
    assert process.lives() is False
    child.wait()
    assert process.lives() is False


def test_a_reused_pid_is_another_process(child: subprocess.Popen[bytes]) -> None:
    assert replace(of(child), started=1).lives() is False


def test_processes_of_other_boots_or_containers_are_unknown(
    child: subprocess.Popen[bytes],
) -> None:
    assert replace(of(child), place="elsewhere").lives() is None
    assert replace(of(child), place="").lives() is None


def test_the_own_process_is_unknown() -> None:
    assert Process.own().lives() is None


def test_a_process_is_parsed_from_its_text() -> None:
    assert Process.parse(str(Process.own())) == Process.own()
