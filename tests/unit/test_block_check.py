"""Blocks from the UI are checked before they are stored."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.blocks.core import Block

from blocks import Mailbox, SMTPConnection

pytestmark = pytest.mark.xdist_group("loads-prefect-server")


def refuse_wrong(kind: type[Block], data: dict[str, Any]) -> None:
    """Check as the server does; loads Prefect's server, in one of the processes of the tests."""
    from deployments.prefect_server import blocks

    blocks.refuse_wrong(kind, data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "host: this is missing: fill it in"),
        ({"host": ""}, "host: there is no host: write the server's name"),
        ({"host": None}, "host: there is no host"),
        ({"host": " \t"}, "host: there is no host"),
        (
            {"host": "smtp://smtp.acme.example"},
            "address, for example smtp.acme.example, and put the port",
        ),
        (
            {"host": "smtp.acme.example:587"},
            "address, for example smtp.acme.example, and put the port",
        ),
        (
            {"host": "https://me:secret@acme.example:25/"},
            "address, for example acme.example, and put the port",
        ),
        ({"host": "smtp acme"}, "this is not a host"),
        ({"host": "smtp\u200b.example"}, "this is not a host"),
        ({"host": "a.example", "username": "me"}, "add the password"),
        ({"host": "a.example", "port": 0}, "port: Input should be greater than or equal to 1"),
    ],
)
def test_a_connection_that_cannot_work_is_not_saved(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^this SMTP Connection is not saved: ") as caught:
        refuse_wrong(SMTPConnection, data)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        {"host": "smtp.example.com"},
        {"host": " 192.0.2.1 "},
        {"host": "2001:db8::1"},
        {"host": "{{ prefect.variables.smtp_host }}"},
    ],
)
def test_valid_connections_are_saved(data: dict[str, Any]) -> None:
    refuse_wrong(SMTPConnection, data)


def test_a_mailbox_is_checked_too() -> None:
    with pytest.raises(ValueError, match="this Mailbox is not saved: host: this is missing"):
        refuse_wrong(Mailbox, {})


def test_a_change_keeps_the_secrets_that_the_ui_shows_as_asterisks() -> None:
    from deployments.prefect_server.blocks import with_stored_secrets

    stored = {"host": "a", "password": "", "dkim": {"selector": "s", "private_key": "the key"}}
    dkim = {"selector": "other", "private_key": "********"}
    given = {"host": "b", "password": "********", "dkim": dkim, "events_key": "********"}
    assert with_stored_secrets(given, stored) == {
        "host": "b",
        "password": "",
        "dkim": {"selector": "other", "private_key": "the key"},
        "events_key": "********",  # nothing is stored for it
    }
