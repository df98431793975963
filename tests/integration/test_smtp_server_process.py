"""The test server, as a process, records a message before it accepts it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from mailsluice.smtp.connection import Connection, Security
from tests.integration.smtp_fixtures import deliver, envelopes

ROOT = Path(__file__).parents[2]


def test_the_file_holds_every_accepted_message(tmp_path: Path) -> None:
    out = tmp_path / "accepted.tsv"
    command = [sys.executable, "-m", "tests.smtpd", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            connection = Connection(
                "x", "127.0.0.1", port, Security.NONE, local_hostname="c.example"
            )
            before = time.monotonic()
            mail = envelopes("a", "550-at-rcpt", "b", body=b"Message-ID: <not@this>\r\n")
            _, error = deliver(connection, mail)
            assert error is None
            lines = [line.split("\t") for line in out.read_text().splitlines()]
        finally:
            process.kill()
    assert [(line[0], *line[2:]) for line in lines] == [
        ("a@example.com", "1", "", "0"),
        ("b@example.com", "1", "", "2"),
    ]
    assert all(before <= float(line[1]) <= time.monotonic() for line in lines)
