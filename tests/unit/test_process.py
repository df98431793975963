"""Which process is it, and does it live?"""

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


def test_one_that_runs_lives(child: subprocess.Popen[bytes]) -> None:
    assert of(child).lives() is True


def test_one_that_was_killed_is_dead_waited_for_or_not(child: subprocess.Popen[bytes]) -> None:
    process = of(child)
    child.kill()
    while _started(child.pid):  # it dies a moment later
        pass
    assert process.lives() is False
    child.wait()
    assert process.lives() is False


def test_a_number_that_is_used_again_is_another_one(child: subprocess.Popen[bytes]) -> None:
    assert replace(of(child), started=1).lives() is False


def test_of_another_boot_machine_or_container_nobody_can_tell(
    child: subprocess.Popen[bytes],
) -> None:
    assert replace(of(child), place="elsewhere").lives() is None
    assert replace(of(child), place="").lives() is None


def test_this_one_proves_nothing_about_another_of_its_runs() -> None:
    assert Process.own().lives() is None


def test_it_is_read_as_it_was_written() -> None:
    assert Process.parse(str(Process.own())) == Process.own()
