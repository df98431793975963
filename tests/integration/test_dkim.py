"""Mail that was signed and sent over each kind of session still verifies where it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailsluice.campaign import Message, SenderIdentity
from mailsluice.core.envelope import Envelope
from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Verdict
from mailsluice.message import compile_message
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database
from tests.dkim_keys import both_keys, verified
from tests.integration.connection_checks import MAIL, inspected
from tests.integration.real_servers import RealServer
from tests.integration.smtp_fixtures import KINDS, connection_to, deliver
from tests.integration.test_send_test import delivered
from tests.smtpd import Settings, SmtpServer

DKIM = both_keys()
TEXTS = (
    "Hello\n",
    "Grüße von uns,  \n\nund  an \tdich \n\n\n",  # spaces at line ends, empty lines at the end
    ".\n..\n.dots\n",
    "x" * 3_000,  # a long line
    "ö" * 3_000,
    "word " * 60_000,  # streamed in parts
)


def letters(folder: Path) -> list[Envelope]:
    """A letter for each text, of text, HTML, and a file."""
    (folder / "terms.bin").write_bytes(bytes(range(256)) * 40)
    compiled = compile_message(
        Message(
            sender="News <news@example.com>",
            subject="Hi {{ name }}",
            text="{{ text }}",
            html="<p>  {{ text }}</p>\n\n",
            attachments=(str(folder / "terms.bin"),),
        ),
        campaign=str(folder),
        columns=["name", "text"],
        now=lambda: datetime.now(UTC),
        return_key="2-key",
        identity=SenderIdentity(one_click_url="https://events.example.com"),
    )
    return [
        compiled.render(number, f"u{number}@example.com", {"name": "Zoë", "text": text})
        for number, text in enumerate(TEXTS)
    ]


def check(contents: Sequence[bytes]) -> None:
    assert [verified(content, DKIM) for content in contents] == [[True, True]] * len(contents)


@pytest.mark.parametrize("keywords", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_message_verifies_over_each_kind_of_session(
    keywords: tuple[str, ...], loop: str, tmp_path: Path
) -> None:
    with SmtpServer(Settings(keywords=("SIZE 1000000", *keywords))) as server:
        mail = letters(tmp_path)
        feed, error = deliver(connection_to(server, dkim=DKIM), mail, loop)
        assert error is None
        assert {*feed.verdicts().values()} == {Verdict.ACCEPTED}
        received = sorted(server.received, key=lambda one: one.recipient)
    check([one.content for one in received])
    assert [one.content.endswith(sent.content) for one, sent in zip(received, mail, strict=True)]
    sizes = [f"SIZE={len(one.content)}" for one in received]
    assert all(size in one.parameters for size, one in zip(sizes, received, strict=True))


@pytest.mark.xdist_group("postfix")
@pytest.mark.parametrize("kind", KINDS)
def test_every_message_verifies_behind_a_relay(
    postfix: RealServer, kind: str, tmp_path: Path
) -> None:
    connection = Connection(
        "test",
        "127.0.0.1",
        postfix.ports[kind],
        Security.NONE,
        local_hostname="client.example",
        messages_in_flight=10,
        dkim=DKIM,
    )
    mail = letters(tmp_path)[:-1]  # postfix takes less than the last one
    _, error = deliver(connection, mail)
    assert error is None
    ids = {one.content.partition(b"Message-ID: <")[2].partition(b">")[0] for one in mail}
    postfix.bodies([])  # waits for the delivery
    arrived = [one for one in postfix.mail() if any(name in one for name in ids)]
    assert len(arrived) == len(mail)
    check(arrived)


async def test_copies_of_a_test_are_signed(database: Database) -> None:
    with SmtpServer() as server:
        await delivered(database, connection_to(server, dkim=DKIM), 2)
        assert [one.content.count(b"DKIM-Signature") for one in server.received] == [2, 2]


def test_the_mail_of_a_connection_check_is_signed() -> None:
    with SmtpServer() as server:
        assert inspected(connection_to(server, dkim=DKIM), MAIL).works
        check([one.content for one in server.received])


def test_the_signature_counts_for_the_largest_message_that_a_server_takes(tmp_path: Path) -> None:
    mail = letters(tmp_path)[:1]
    with SmtpServer(Settings(keywords=(f"SIZE {len(mail[0].content)}",))) as server:
        feed, _ = deliver(connection_to(server, dkim=DKIM), mail)
        assert feed.attempt("u0").cause is LocalCause.MESSAGE_TOO_LARGE


def test_without_keys_nothing_is_added(tmp_path: Path) -> None:
    with SmtpServer() as server:
        mail = letters(tmp_path)[:1]
        deliver(connection_to(server), mail)
        assert [one.content for one in server.received] == [one.content for one in mail]
