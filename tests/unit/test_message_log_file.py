"""A message log's file: rotation, retention, what a crash leaves."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest

from mailsluice.core.errors import MailsluiceError
from mailsluice.operations.message_log import FileOutput, Line, Rotation

DAY = 86_400
_DEFAULT = Rotation()


class Clock:
    def __init__(self) -> None:
        self.now = 20_000.5 * DAY

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(*texts: str) -> list[Line]:
    return [Line(text, "Delivery", text.encode()) for text in texts]


def opened(path: Path, clock: Clock, rotation: Rotation = _DEFAULT) -> FileOutput:
    return FileOutput(path, rotation, clock)


def written_at(path: Path, clock: Clock) -> None:
    """Date the file by the test's clock."""
    os.utime(path, (clock.now, clock.now))


def test_lines_are_appended_for_their_owner_alone(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "messages.ndjson"
    for text in ("one", "two"):
        output = opened(path, clock)
        output.write(lines(text))
        output.close()
        written_at(path, clock)
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (b"whole\n", b"whole\n"),
        (b"whole\ncut sho", b"whole\n"),
        (b"cut short", b""),  # nothing else is in the file
        (b"whole\n" + b"x" * 200_000, b"whole\n"),  # longer than what is read at once
        (b"", b""),
    ],
)
def test_a_line_that_a_crash_cut_short_is_removed(
    tmp_path: Path, clock: Clock, left: bytes, kept: bytes
) -> None:
    path = tmp_path / "messages.ndjson"
    path.write_bytes(left)
    written_at(path, clock)
    opened(path, clock).close()
    assert path.read_bytes() == kept


def test_a_file_that_would_be_too_large_is_rotated(tmp_path: Path, clock: Clock) -> None:
    output = opened(tmp_path / "messages.ndjson", clock, Rotation(max_bytes=10))
    for text in ("aaaa", "bbbb", "cccc", "longer than a file"):
        output.write(lines(text))
        written_at(tmp_path / "messages.ndjson", clock)
    names = sorted(path.name for path in tmp_path.glob("messages*"))
    assert names == [
        "messages-20241004T120000Z-0001.ndjson",
        "messages-20241004T120000Z.ndjson",
        "messages.ndjson",
    ]
    assert (tmp_path / names[1]).read_bytes() == b"aaaa\nbbbb\n"
    assert (tmp_path / names[0]).read_bytes() == b"cccc\n"


def test_a_day_has_a_file_of_its_own_also_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "messages.ndjson"
    output = opened(path, clock)
    output.write(lines("today"))
    output.close()
    written_at(path, clock)
    clock.now += DAY
    output = opened(path, clock)
    assert path.read_bytes() == b"today\n"  # nothing new: nothing is rotated
    output.write(lines("tomorrow"))
    assert path.read_bytes() == b"tomorrow\n"
    assert (tmp_path / "messages-20241005T120000Z.ndjson").read_bytes() == b"today\n"


def test_old_files_are_compressed_and_only_the_newest_are_kept(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "messages.ndjson"
    (tmp_path / "messages-of-others.ndjson").write_text("stays")
    (tmp_path / ".messages-20200101T000000Z.ndjson.unfinished").write_text("of a killed process")
    output = opened(path, clock, Rotation(max_bytes=1, keep=2, compress=True))
    for text in ("one", "two", "three", "four"):
        output.write(lines(text))
        clock.now += 60
        written_at(path, clock)
    old = sorted(tmp_path.glob("messages-2*"))
    assert [gzip.decompress(file.read_bytes()) for file in old] == [b"two\n", b"three\n"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in old)
    assert (tmp_path / "messages-of-others.ndjson").exists()
    assert not list(tmp_path.glob(".*.unfinished"))


def test_a_write_that_fails_leaves_no_part_of_a_line(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "messages.ndjson"
    output = opened(path, clock)
    output.write(lines("one"))
    written_at(path, clock)
    write, sizes = os.write, iter([3])

    def full(file: int, text: bytes) -> int:
        for size in sizes:
            return write(file, text[:size])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left") as caught:
            output.write(lines("two of them"))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one\n"


def test_two_processes_do_not_write_the_same_file(tmp_path: Path, clock: Clock) -> None:
    first = opened(tmp_path / "messages.ndjson", clock)
    with pytest.raises(MailsluiceError, match="another process writes the message log"):
        opened(tmp_path / "messages.ndjson", clock)
    first.close()
    opened(tmp_path / "messages.ndjson", clock).close()


def test_a_folder_that_is_missing_or_not_allowed_is_refused(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MailsluiceError, match="mount its disk"):
        opened(tmp_path / "nowhere" / "messages.ndjson", clock)
    with pytest.raises(MailsluiceError, match="not a regular file"):
        opened(tmp_path, clock)
    monkeypatch.setenv("MAILSLUICE_FILES", str(tmp_path / "elsewhere"))
    with pytest.raises(MailsluiceError, match="outside the folders"):
        opened(tmp_path / "messages.ndjson", clock)
