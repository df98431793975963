"""Every fault in every phase of a whole campaign: what the server got, and what is reported.

Faults that end the link look otherwise where it is encrypted. So every third of them runs with
STARTTLS, too; `make thorough` runs all of them with STARTTLS, and with TLS from the start. What a
server replies is the same text in all of them; that it is read alike in all of them is what
`test_smtp_sessions` shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailsluice.smtp.connection import Security
from mailsluice.store import Database
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.hurried_loop import skip_silence
from tests.integration.smtp_fixtures import Certificates, secured
from tests.smtpd import SmtpServer
from tests.thorough import some, thorough_only

_numbers = itertools.count()

# How the recipient with this fault ends: status, code, attempts, copies at the server.
FATES: dict[str, tuple[str, int | None, int, int]] = {
    # later, and the next attempt works
    "450-at-rcpt-once": ("sent", 250, 2, 1),
    "451-at-data-once": ("sent", 250, 2, 1),
    "452-at-dot-once": ("sent", 250, 2, 1),
    # later, until the attempts are used up
    "450-at-rcpt": ("failed", 450, 3, 0),
    "451-at-data": ("failed", 451, 3, 0),
    "452-at-dot": ("failed", 452, 3, 0),
    # never
    "550-at-rcpt": ("failed", 550, 1, 0),
    "554-at-data": ("failed", 554, 1, 0),
    "552-at-dot": ("failed", 552, 1, 0),
    # the session's trouble, before the dot: as if it had never been tried
    "421-at-rcpt-once": ("sent", 250, 1, 1),
    "421-at-data-once": ("sent", 250, 1, 1),
    "421-at-dot-once": ("sent", 250, 1, 1),
    "454-at-rcpt-once": ("sent", 250, 1, 1),
    "drop-at-rcpt-once": ("sent", 250, 1, 1),
    "drop-at-data-once": ("sent", 250, 1, 1),
    "garbage-at-rcpt-once": ("sent", 250, 1, 1),
    "garbage-at-data-once": ("sent", 250, 1, 1),
    "hang-at-rcpt-once": ("sent", 250, 1, 1),
    # the same every time: bounded, as the recipient's own trouble
    "421-at-rcpt": ("failed", 421, 3, 0),
    "drop-at-rcpt": ("failed", None, 3, 0),
    "drop-at-data": ("failed", None, 3, 0),
    "garbage-at-rcpt": ("failed", None, 3, 0),
    # after the dot nobody can know, whether the server has it or not
    "drop-at-body": ("uncertain", None, 1, 0),
    "drop-at-dot": ("uncertain", None, 1, 0),
    "garbage-at-dot": ("uncertain", None, 1, 0),
    "hang-at-dot": ("uncertain", None, 1, 0),
    "drop-at-accepted": ("uncertain", None, 1, 1),
    "garbage-at-accepted": ("uncertain", None, 1, 1),
    # the reply was there
    "drop-at-after": ("sent", 250, 1, 1),
    "421-at-after": ("sent", 250, 1, 1),
}


@pytest.fixture(scope="module")
def sender(
    tmp_path_factory: pytest.TempPathFactory, new_sqlite: Callable[[Path], str]
) -> Iterator[Sender]:
    """One state database for all cases, each of which has its own campaign."""
    home = tmp_path_factory.mktemp("home")
    with Database(new_sqlite(home / "state.db")) as database:
        yield Sender(database, home)


ENDING = [fault for fault in FATES if fault.startswith(("drop", "hang", "421"))]
CASES = [
    *((fault, Security.NONE) for fault in FATES),
    *(
        pytest.param(fault, Security.STARTTLS, marks=pytest.mark.thorough)
        for fault in some(ENDING, every=3)
    ),
    *thorough_only(
        *(pytest.param(fault, Security.TLS, marks=pytest.mark.thorough) for fault in ENDING)
    ),
]


@pytest.mark.parametrize(("fault", "security"), CASES)
async def test_a_fault_affects_its_own_recipient_alone(
    fault: str,
    security: Security,
    sender: Sender,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domain = f"case{next(_numbers)}.example.com"
    good = people(8, domain)
    bad = f"{fault}@{domain}"
    emails = [*good[:4], bad, *good[4:]]
    with SmtpServer(secured({}, security, certificates)) as server:
        ca_file = None if security is Security.NONE else certificates.ca_file
        sessions = 2
        if "hang" in fault:
            skip_silence(server, monkeypatch)
            sessions = 1
        red = connection("red", server, security=security, ca_file=ca_file, max_sessions=sessions)
        report = await sender.send(campaign(tmp_path, emails, name=domain), [red])
    rows = {email: row for email, row in sender.ledger.rows().items() if email.endswith(domain)}
    assert report.down == {}
    assert {rows[email].status for email in good} == {"sent"}
    assert {server.recipients[email] for email in good} == {1}
    row = rows[bad]
    assert (row.status, row.code, row.attempts, server.recipients[bad]) == FATES[fault]
    assert len(row.history) == row.attempts - (row.status == "sent")
