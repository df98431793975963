"""What survives the process in the journal, and when it is trusted."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

from mailsluice.delivery import journal as module
from mailsluice.delivery.journal import Journal, JournalBusyError
from mailsluice.limits import Estate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "one.journal"


def replies(journal: Journal) -> dict[int, int | None]:
    contents = journal.so_far()
    assert contents is not None
    return dict(contents.replies)


def test_a_new_journal_has_no_evidence(path: Path) -> None:
    journal = Journal(path)
    assert journal.evidence is None
    journal.close()


def test_the_next_run_reads_what_the_last_run_left(path: Path) -> None:
    first = Journal(path)
    first.start()
    first.dot(7)
    first.dot(8)
    first.reply(8, 250)
    first.dot(9)
    first.reply(9, 450)
    first.close()  # a killed process leaves the same, since nothing is written at the end
    second = Journal(path)
    assert second.evidence is not None
    assert second.evidence.journal_id == first.id
    assert second.evidence.replies == {7: None, 8: 250, 9: 450}
    second.close()


def test_a_killed_process_leaves_its_journal_behind(path: Path) -> None:
    child = os.fork()
    if child == 0:
        journal = Journal(path)
        journal.start()
        journal.dot(1)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    journal = Journal(path)
    assert journal.evidence is not None
    assert journal.evidence.replies == {1: None}
    journal.close()


def test_a_committed_outcome_frees_its_slot(path: Path) -> None:
    journal = Journal(path)
    journal.start()
    size = path.stat().st_size
    for recipient in range(20_000):
        journal.dot(recipient)
        journal.reply(recipient, 250)
        journal.forget([recipient])
    journal.forget([123_456])  # never had a dot
    assert path.stat().st_size == size
    assert replies(journal) == {}
    journal.close()


def test_the_file_grows_with_the_messages_in_flight(path: Path) -> None:
    journal = Journal(path)
    journal.start()
    for recipient in range(10_000):
        journal.dot(recipient)
    assert len(replies(journal)) == 10_000
    journal.close()


def test_a_message_that_is_sent_again_is_in_doubt_again(path: Path) -> None:
    journal = Journal(path)
    journal.start()
    journal.dot(5)
    journal.reply(5, 421)
    journal.dot(5)
    assert replies(journal) == {5: None}
    journal.close()


def test_a_torn_journal_is_ignored(path: Path) -> None:
    first = Journal(path)
    first.start()
    first.dot(7)
    first.close()
    content = bytearray(path.read_bytes())
    content[content.index((7).to_bytes(8, "little"), 128)] ^= 0xFF
    path.write_bytes(content)
    second = Journal(path)
    assert second.evidence is None
    second.close()


def test_a_journal_from_before_a_reboot_is_ignored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Journal(path)
    first.start()
    first.close()
    monkeypatch.setattr(module, "_boot_id", lambda: b"another boot".ljust(36))
    second = Journal(path)
    assert second.evidence is None
    second.close()


def test_a_living_holder_excludes_other_processes(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(JournalBusyError):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_a_new_start_drops_the_old_evidence(path: Path) -> None:
    first = Journal(path)
    first.start()
    first.dot(7)
    first.close()
    second = Journal(path)
    second.start()
    second.close()
    third = Journal(path)
    assert third.evidence is not None
    assert third.evidence.journal_id == second.id
    assert third.evidence.replies == {}
    third.close()


def test_the_next_run_learns_what_became_of_the_starts_of_a_killed_process(path: Path) -> None:
    child = os.fork()
    if child == 0:
        journal = Journal(path, "a" * 32)
        journal.start()
        note = journal.account("red")
        for number in range(10_000):  # the file grows, and moves in memory
            journal.dot(number)
        note(3, 40)
        journal.account("green")(-1, 7)  # without limits
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    journal = Journal(path)
    assert journal.evidence is not None
    assert journal.evidence.estate("red") == Estate(f"{'a' * 32} red", 3, 40)
    assert journal.evidence.estate("green") is None
    assert journal.evidence.estate("blue") is None
    assert len(journal.evidence.replies) == 10_000
    journal.close()


def test_a_torn_account_is_left_out(path: Path) -> None:
    journal = Journal(path)
    journal.start()
    for name in ("red", "green"):
        journal.account(name)(1, 2)
    journal.close()
    data = bytearray(path.read_bytes())
    data[module._HEADER_BYTES + 20] ^= 1
    path.write_bytes(data)
    journal = Journal(path)
    assert journal.evidence is not None
    assert journal.evidence.estate("red") is None
    assert journal.evidence.estate("green") == Estate(f"{journal.evidence.journal_id} green", 1, 2)
    journal.close()


def test_connections_beyond_the_space_for_accounts_have_none(path: Path) -> None:
    journal = Journal(path)
    journal.start()
    for number in range(1_100):
        journal.account(f"relay-{number}")(1, 2)
    journal.dot(5)
    contents = journal.so_far()
    assert contents is not None
    known = [bool(contents.estate(f"relay-{number}")) for number in range(1_100)]
    assert known == [True] * 1_024 + [False] * 76
    assert contents.replies == {5: None}
    journal.close()


@pytest.mark.parametrize(("version", "accounts"), [(b"MSLJ0001", 0), (b"MSLJ0002", 64)])
def test_a_journal_of_an_earlier_version_is_read(path: Path, version: bytes, accounts: int) -> None:
    """There the slots begin right behind the header, or behind fewer accounts."""
    journal = Journal(path)
    journal.start()
    header, slot = journal._data[:128], module._BODY.pack(9, 250)
    journal.close()
    slot += module._CHECK.pack(zlib.crc32(slot))
    path.write_bytes(version + header[8:] + bytes(32 * accounts) + slot + bytes(16 * 200))
    journal = Journal(path)
    assert journal.evidence is not None
    assert journal.evidence.replies == {9: 250}
    assert journal.evidence.estate("red") is None
    journal.close()
