"""The files that a document or a parameter may name, on the real file system."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mailsluice.audience.source import read_chunks
from mailsluice.campaign import Message, RecipientSource
from mailsluice.core.errors import AudienceError, MailsluiceError, MessageError
from mailsluice.core.files import FileError, open_named, writable
from mailsluice.message import attachment_digests
from mailsluice.operations import accounts
from mailsluice.operations.housekeeping import keep_house
from mailsluice.operations.suppression.exporting import export_suppressions
from mailsluice.store import Database
from tests.databases import no_database
from tests.integration.accounts_fixtures import store

SECRET = "s3cr3t-line"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the second of two folders that may be used."""
    for name in ("other", "inside"):
        (tmp_path / name).mkdir()
    folders = [str(tmp_path / "other"), str(tmp_path / "inside")]
    monkeypatch.setenv("MAILSLUICE_FILES", os.pathsep.join(folders))
    (tmp_path / "outside.csv").write_text(f"email\n{SECRET}\n")
    (tmp_path / "inside" / "list.csv").write_text("email\na@b.de\n")
    return tmp_path / "inside"


def recipients(path: str) -> object:
    return list(read_chunks(RecipientSource(path=path), connect=no_database))


def named(path: str) -> object:
    return accounts.read_addresses(RecipientSource(path=path))


def attachment(path: str) -> object:
    return attachment_digests(Message(sender="a@b.de", subject="x", text="x", attachments=(path,)))


READING = [recipients, named, attachment]
Read = Callable[[str], object]


@pytest.mark.parametrize("read", READING)
def test_a_file_inside_is_read(inside: Path, read: Read) -> None:
    read(str(inside / "list.csv"))
    read(str(inside / ".." / "inside" / "list.csv"))
    (inside / "link.csv").symlink_to(inside / "list.csv")
    read(str(inside / "link.csv"))


def _outside(inside: Path) -> Iterator[Path]:
    outside = inside.parent / "outside.csv"
    yield outside
    yield inside / ".." / "outside.csv"
    yield inside.parent / "nothing.csv"  # nobody is told what is there
    (inside / "link.csv").symlink_to(outside)
    yield inside / "link.csv"
    (inside / "folder").symlink_to(inside.parent)
    yield inside / "folder" / "outside.csv"
    (inside.parent / "inside too").mkdir()  # a name that begins alike
    (inside.parent / "inside too" / "x.csv").write_text(SECRET)
    yield inside.parent / "inside too" / "x.csv"
    yield Path("/proc/self/environ")
    yield Path("/proc/self/cwd/pyproject.toml")


@pytest.mark.parametrize("read", READING)
def test_a_file_outside_is_refused(inside: Path, read: Read) -> None:
    for path in _outside(inside):
        with pytest.raises(MailsluiceError, match="outside the folders") as caught:
            read(str(path))
        assert SECRET not in str(caught.value)
        assert "MAILSLUICE_FILES" in str(caught.value)


@pytest.mark.parametrize("read", READING)
def test_only_regular_files_are_read_and_a_pipe_does_not_block(tmp_path: Path, read: Read) -> None:
    os.mkfifo(tmp_path / "fifo.csv")  # opening it waits for somebody who writes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.csv"))
        (tmp_path / "link.csv").symlink_to("/dev/zero")
        kinds = [tmp_path, tmp_path / "fifo.csv", tmp_path / "socket.csv", tmp_path / "link.csv"]
        for path in [*kinds, *map(Path, ("/dev/zero", "/dev/stdin", "/proc/self/environ"))]:
            with pytest.raises(MailsluiceError, match="not a regular file"):
                read(str(path))


@pytest.mark.parametrize("read", READING)
def test_an_impossible_path_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileError):
        open_named("a\0b.csv")
    for path in (str(tmp_path / "loop"), "x" * 5_000, str(tmp_path / "gone.csv")):
        with pytest.raises(MailsluiceError):
            read(path)


def test_a_link_changed_after_the_check_does_not_lead_outside(
    inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opened file counts, not the file that its path led to before."""
    (inside / "link.csv").write_text("email\n")
    opening = os.open

    def swap(path: str, *arguments: int) -> int:
        (inside / "link.csv").unlink()
        (inside / "link.csv").symlink_to(inside.parent / "outside.csv")
        return opening(path, *arguments)

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(FileError, match="outside"):
        open_named(inside / "link.csv")


def test_a_device_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(FileError):
        open_named("/dev/zero")


@pytest.mark.parametrize("bound", [None, ""])
def test_without_the_setting_every_folder_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str | None
) -> None:
    monkeypatch.delenv("MAILSLUICE_FILES", raising=False)
    if bound is not None:
        monkeypatch.setenv("MAILSLUICE_FILES", bound)
    (tmp_path / "list.csv").write_text("email\na@b.de\n")
    recipients(str(tmp_path / "list.csv"))
    assert writable(tmp_path / "x.csv") == tmp_path / "x.csv"


def test_nothing_is_written_outside(inside: Path, database: Database) -> None:
    store(database)
    (inside / "folder").symlink_to(inside.parent)
    (inside / "link.csv").symlink_to(inside.parent / "written.csv")
    there = sorted(inside.parent.iterdir())
    for path in (
        inside.parent / "written.csv",
        inside / ".." / "written.csv",
        inside / "folder" / "written.csv",
        inside / "link.csv",
    ):
        with pytest.raises(MailsluiceError, match="outside the folders"):
            accounts.export(database, "spring", path, overwrite=True)
        with pytest.raises(MailsluiceError, match="outside the folders"):
            export_suppressions(database, path, overwrite=True)
    for folder in (inside.parent, inside / "folder"):
        with pytest.raises(MailsluiceError, match="outside the folders"):
            keep_house(database, keep_days=1, folder=folder, owner="x")
    assert sorted(inside.parent.iterdir()) == there
    assert accounts.export(database, "spring", inside / "written.csv").rows == 8


SECRETS = [
    f"{SECRET}\n{SECRET}\n",
    f"root:{SECRET}:0:0\ndaemon:*:1:1\n",
    f"PASSWORD={SECRET}",
    f"mail.password={SECRET}\n",
    f'x,{SECRET}\n"{SECRET},y\n',
    f"{SECRET},{SECRET}\n1,2\n",
    f"email\n{SECRET},\xff",
    f'"{SECRET}',
    f'email,n\na@b.de,"{SECRET}\n',
    SECRET * 1_000_000,
]


@pytest.mark.parametrize("content", SECRETS, ids=range(len(SECRETS)))
@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
@pytest.mark.parametrize("delimiter", [",", ":", "="])
def test_no_error_quotes_the_content_of_the_file(
    tmp_path: Path, content: str, name: str, delimiter: str
) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    source = RecipientSource(path=str(tmp_path / name), delimiter=delimiter)
    with pytest.raises(AudienceError) as caught:
        list(read_chunks(source, connect=no_database))
    assert SECRET not in str(caught.value)


def test_too_many_columns_are_refused_before_a_row_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    with path.open("w") as file:
        file.write(",".join(["email", *(f"c{i}" for i in range(100_000))]) + "\n")
    with pytest.raises(AudienceError, match="100,001 columns, and at most 2,000"):
        recipients(str(path))
    path.write_text("email,n" + "x" * (3 << 20) + "\na@b.de,x\n")
    with pytest.raises(AudienceError, match=r"not a CSV header|no end of line"):
        recipients(str(path))
    path.write_text("email," + ",".join(f"{i:0130000}" for i in range(30)) + "\na@b.de,x\n")
    with pytest.raises(AudienceError, match="no end of line in its first 2 MB"):
        recipients(str(path))
    names = ["email", *(f"c{i}" for i in range(2_100))]
    parquet.write_table(pa.table({name: ["x"] for name in names}), tmp_path / "wide.parquet")
    with pytest.raises(AudienceError, match="2,101 columns"):
        recipients(str(tmp_path / "wide.parquet"))


def test_a_parquet_file_with_a_large_footer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with path.open("wb") as file:
        file.seek(200 << 20)  # a hole: it takes no room
        file.write((150 << 20).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(AudienceError, match="more than 64 MB"):
        recipients(str(path))


@pytest.mark.parametrize("beginning", [b"", b"email\n", b"email\na@b.de\n"])
def test_an_endless_line_is_refused_early(tmp_path: Path, beginning: bytes) -> None:
    path = tmp_path / "x.csv"
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(10 << 30)  # a hole: it takes no room
    with pytest.raises(AudienceError):
        recipients(str(path))


def test_an_attachment_too_large_for_any_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(MessageError, match="more than 50 MB"):
        attachment(str(path))
