"""The message log's outputs with real programs: a process that is killed, and a Redis server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest
import redis

from deployments.command import main
from deployments.server import free_port
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.status import RecipientStatus
from mailsluice.operations.message_log import (
    AddressForm,
    FileOutput,
    Line,
    Rotation,
    file_output,
    open_output,
)
from mailsluice.operations.message_log.stream_output import StreamOutput
from mailsluice.operations.message_log.writing import catch_up, open_log
from mailsluice.store import Database, Settled
from tests.eventually import eventually
from tests.integration.campaign_fixtures import processes
from tests.integration.outbox_fixtures import Store, claim, settle


def _go_on(_: float) -> bool:
    return True


def write_and_die(url: str, path: Path, octets: int) -> None:
    """Write the log, until so many octets of a write are in the file."""

    def write(file: int, text: bytes) -> None:
        os.write(file, text[:octets])
        os.kill(os.getpid(), signal.SIGKILL)

    file_output._write_all = write
    with Database(url) as database:
        _write(database, path)


def _write(database: Database, path: Path) -> None:
    output = FileOutput(path, Rotation())
    log = open_log(database, output, name="log", addresses=AddressForm.PLAIN, since=0.0)
    catch_up(log, _go_on)
    output.close()


@pytest.mark.parametrize("octets", [0, 1, 700, 10_000_000])  # nothing, a piece, all lines
def test_a_writer_that_is_killed_leaves_whole_lines_and_misses_none(
    database: Database, database_url: str, stored: Store, tmp_path: Path, octets: int
) -> None:
    path, outbox = tmp_path / "log.ndjson", stored(6)
    settled = [
        Settled(row.id, RecipientStatus.SENT, 1, 250, "ok") for row in claim(database, outbox)
    ]
    settle(database, outbox, *settled)
    writer = processes().Process(target=write_and_die, args=(database_url, path, octets))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    _write(database, path)
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    written = {record["record_id"] for record in records}
    assert len(written) == len(settled) == 3
    assert len(records) == (6 if octets > 700 else 3 + (octets == 700))


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    settings = f"bind 127.0.0.1\nport {port}\ndir {folder}\nrequirepass hidden\nappendonly yes\n"
    with subprocess.Popen(
        [program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as server:
        assert server.stdin
        server.stdin.write(settings.encode())
        server.stdin.close()
        with redis.Redis(port=port, password="hidden") as client:
            eventually(lambda: _answers(client))
        yield port
        server.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def lines(texts: Sequence[str]) -> list[Line]:
    return [Line(f"id-{text}", "Delivery", text.encode()) for text in texts]


class TestRedis:
    def test_records_are_entries_of_a_stream(self, redis_port: int) -> None:
        output = StreamOutput(f"redis://:hidden@127.0.0.1:{redis_port}/0", "mail", 0)
        output.write(lines(["one", "two"]))
        output.write(lines([str(number) for number in range(1_200)]))
        output.close()
        with redis.Redis(port=redis_port, password="hidden") as client:
            entries = client.xrange("mail")
        assert len(entries) == 1_202
        assert entries[1][1] == {b"record_id": b"id-two", b"type": b"Delivery", b"record": b"two"}

    def test_old_entries_leave_a_stream_with_a_limit(self, redis_port: int) -> None:
        output = StreamOutput(f"redis://:hidden@127.0.0.1:{redis_port}/0", "short", 100)
        output.write(lines([str(number) for number in range(2_000)]))
        with redis.Redis(port=redis_port, password="hidden") as client:
            length = client.xlen("short")
        assert 100 <= length < 1_000
        output.close()

    def test_an_error_says_which_server_and_hides_the_password(self, redis_port: int) -> None:
        wrong = StreamOutput(f"redis://:wrong@127.0.0.1:{redis_port}/0", "mail", 0)
        with pytest.raises(MailsluiceError, match=f"server 127.0.0.1:{redis_port} cannot") as told:
            wrong.write(lines(["one"]))
        assert ":wrong" not in str(told.value)
        away = StreamOutput(f"redis://:hidden@127.0.0.1:{free_port()}/0", "mail", 0)
        with pytest.raises(MailsluiceError, match="Check the server") as told:
            away.write(lines(["one"]))
        assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1", "not a URL of Redis"),
        ("127.0.0.1:6379", "not a URL of Redis"),
        ("redis://[::1", "not a URL of Redis"),
        ("redis://127.0.0.1:port", "not a URL of Redis"),
        ("rediss://127.0.0.1?ssl_cert_reqs=none", "how its certificate is checked"),
        ("rediss://127.0.0.1?ssl_check_hostname=false", "how its certificate is checked"),
        ("redis://:secret@127.0.0.1?socket_timeout=x", "an option"),
    ],
)
def test_an_address_of_redis_that_cannot_be_used_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(MailsluiceError, match=complaint) as told:
        StreamOutput(url, "mail", 0)
    assert "secret" not in str(told.value)


def test_a_log_has_one_output(tmp_path: Path) -> None:
    for file, stream in (("", ""), (str(tmp_path / "log.ndjson"), "mail")):
        with pytest.raises(MailsluiceError, match="name one of the two"):
            open_output(file, Rotation(), stream, 0, str)


def test_the_command_writes_a_log_and_says_what_is_wrong(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAILSLUICE_DATABASE_URL", database_url)
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path))
    monkeypatch.delenv("MAILSLUICE_MESSAGE_LOG_REDIS", raising=False)
    write = ["message-log", "write"]
    assert main([*write, "--file", str(tmp_path / "log.ndjson")]) == 0
    assert capsys.readouterr().out == "0 lines written\n"
    for arguments, complaint in (
        ([], "name one of the two"),
        (["--redis-stream", "mail"], "set MAILSLUICE_MESSAGE_LOG_REDIS"),
        (["--file", str(tmp_path / "log.ndjson"), "--period-hours", "0"], "a period above 0"),
        (["--file", str(tmp_path / "log.ndjson"), "--since", "2020-01-01"], "another moment"),
    ):
        assert main([*write, *arguments]) == 1
        assert complaint in capsys.readouterr().err
