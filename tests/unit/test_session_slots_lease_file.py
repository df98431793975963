"""Leases noted on disk: a dead process's are found once, those of a living one never."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from flows.support.session_slots.lease_file import LeaseFile, take_over

API = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path))
    return tmp_path / "session-leases"


def held(*leases: UUID) -> LeaseFile:
    file = LeaseFile()
    for lease in leases:
        file.add(API, lease)
    return file


def die(file: LeaseFile) -> None:
    """The system releases a dead process's lock; the file stays."""
    file.close()


def test_the_leases_of_a_dead_process_are_found_once() -> None:
    first, second, released = uuid4(), uuid4(), uuid4()
    file = held(first, second, released)
    file.remove(released)
    die(file)
    assert [set(leases) for leases in take_over(API)] == [{first, second}]
    assert list(take_over(API)) == []


def test_the_leases_of_a_living_process_are_not_touched(folder: Path) -> None:
    file = held(uuid4())
    assert list(take_over(API)) == []
    die(file)
    assert len(list(folder.iterdir())) == 1


def test_the_leases_of_a_dead_process_stay_while_one_that_sends_for_it_lives() -> None:
    file = held(lease := uuid4())
    assert file.descriptor is not None
    sender = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[file.descriptor])
    die(file)
    assert list(take_over(API)) == []
    sender.communicate()
    assert list(take_over(API)) == [[lease]]


def test_a_file_without_leases_is_deleted(folder: Path) -> None:
    """Its process was killed before it held any."""
    folder.mkdir()
    (folder / "a.leases").write_text("")
    assert list(take_over(API)) == [[]]
    assert list(folder.iterdir()) == []


def test_the_leases_of_another_server_stay() -> None:
    die(held(uuid4()))
    assert list(take_over("http://127.0.0.1:4201/api")) == []
    assert len(list(take_over(API))) == 1


def test_leases_that_could_not_be_released_are_found_again() -> None:
    lease = uuid4()
    die(held(lease))
    finding = take_over(API)
    assert next(finding) == [lease]
    assert isinstance(finding, Generator)
    finding.close()
    assert list(take_over(API)) == [[lease]]


def test_a_process_that_released_all_leaves_no_file(folder: Path) -> None:
    lease = uuid4()
    file = held(lease)
    file.remove(lease)
    file.close()
    assert list(folder.iterdir()) == []


def test_a_line_that_was_cut_short_is_left_out(folder: Path) -> None:
    lease = uuid4()
    folder.mkdir()
    (folder / "a.leases").write_text(f"{API}\n{lease}\n{str(uuid4())[:20]}")
    assert list(take_over(API)) == [[lease]]


def test_a_folder_that_cannot_be_written_is_no_error(folder: Path) -> None:
    folder.write_text("a file is in the way")
    lease = uuid4()
    file = held(lease)
    file.remove(lease)
    file.close()
    assert list(take_over(API)) == []
