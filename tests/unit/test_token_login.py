"""The messages of a login with an access token."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

import aiosmtplib
import pytest

from mailsluice.oauth.client import OAuthLogin
from mailsluice.oauth.sasl import first_response
from mailsluice.oauth.tokens import Tokens
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.token_login import log_in_with_token


def test_the_example_of_rfc_7628() -> None:
    token = "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="
    given = ("user@example.com", "server.example.com", 143, token)
    assert first_response("oauthbearer", *given) == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01"
    )


def test_a_comma_or_an_equals_sign_in_the_user_name_is_escaped() -> None:
    assert first_response("oauthbearer", "a,b=c", "h", 1, "t").startswith(b"n,a=a=2Cb=3Dc,\x01")


def test_the_example_of_xoauth2() -> None:
    """Google's documentation has it, in base64."""
    said = first_response("xoauth2", "someuser@example.com", "imap.gmail.com", 993, "ya29.vF9dft4")
    assert said == b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4\x01\x01"


class _Repeating:
    """A server that refuses each login, and repeats it."""

    async def auth_xoauth2(self, username: str, token: str) -> None:
        packed = base64.b64encode(f"user={username}\x01auth=Bearer {token}\x01\x01".encode())
        raise aiosmtplib.SMTPAuthenticationError(535, f"no: {token} {packed.decode()}")


class _Known(Tokens):
    async def token(self, login: OAuthLogin, refused: str | None = None) -> str:
        return "ya29.secret-token"


def test_a_token_that_the_server_repeats_is_masked_in_errors() -> None:
    connection = Connection(name="a", host="localhost", port=587, username="joe")
    work = log_in_with_token(cast("Any", _Repeating()), "xoauth2", connection, _Known())
    with pytest.raises(aiosmtplib.SMTPAuthenticationError) as raised:
        asyncio.run(work)
    assert raised.value.code == 535
    assert str(raised.value.message).startswith("no: <secret> ")
    assert base64.b64encode(b"ya29.secret-token").decode()[:12] not in str(raised.value.message)
