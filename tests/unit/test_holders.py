"""Whether the holder of a lease is dead, by the journal that it held."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mailsluice.core.process import Process
from mailsluice.delivery.holders import Holder, note_holder
from mailsluice.delivery.journal import Journal

ELSEWHERE = Process(1, 1, "another container")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.journal"


def seen_after(path: Path, process: Process, change: str) -> bool | None:
    """Whether a holder lives, seen by the next one after something happened to its file."""
    first = Journal(path)
    file = first.file
    match change:
        case "died":
            first.close()
        case "deleted":  # while it lives
            path.unlink()
        case "replaced":
            shutil.copy(path, path.with_suffix(".copy"))
            path.with_suffix(".copy").rename(path)
    second = Journal(path)
    try:
        return Holder("first", file, process).is_alive(second)
    finally:
        second.close()


@pytest.mark.parametrize(
    ("process", "change", "lives"),
    [
        (ELSEWHERE, "died", False),  # the lock of the file that it held is free
        (ELSEWHERE, "deleted", None),  # the lock of another file tells nothing
        (ELSEWHERE, "replaced", None),
        (Process(os.getppid(), 0, ""), "deleted", None),
    ],
)
def test_only_the_file_that_a_process_held_proves_its_death(
    path: Path, process: Process, change: str, lives: bool | None
) -> None:
    assert seen_after(path, process, change) is lives


def test_a_process_of_this_machine_that_is_gone_is_dead_whichever_file_it_held(path: Path) -> None:
    gone = Process(Process.own().pid, 1, Process.own().place)  # the number is used again
    assert seen_after(path, gone, "deleted") in (False, None)  # None: there is no /proc


def test_earlier_holders_are_known_by_name_and_lines_of_old_versions_are_skipped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "one.holders"
    path.write_text("0123abcd\n")  # written by a version that stored neither file nor process
    journal = Journal(tmp_path / "one.journal")
    assert note_holder(path, "first", journal) == {}
    (found,) = note_holder(path, "second", journal).values()
    assert found == Holder("first", journal.file, Process.own())
    journal.close()
