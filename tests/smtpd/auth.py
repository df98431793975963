"""AUTH, the server's side: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER.

RFC 4954, RFC 4616, RFC 2195, RFC 7628; https://developers.google.com/gmail/imap/xoauth2-protocol.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Generator

from tests.smtpd.settings import Settings

CHALLENGE = b"<1896.697170952@mail.example>"
OK = b"235 2.7.0 Authentication successful"
REFUSED = b"535 5.7.8 Authentication credentials invalid"
_SYNTAX = b"501 5.5.2 Cannot decode response"
_REASON = b"334 " + base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"mail"}')


def login(method: str, initial: bytes, settings: Settings) -> Generator[bytes, bytes, bytes]:
    """A dialogue: yields what the server says, takes the client's lines, returns the outcome."""
    if method not in settings.auth_methods:
        return b"504 5.5.4 Unrecognized authentication type"
    users = settings.users
    match method:
        case "PLAIN":
            line = initial or (yield b"334 ")
            _, user, password = base64.b64decode(line).split(b"\0")
            good = users.get(user.decode()) == password.decode()
        case "LOGIN":
            line = initial or (yield b"334 VXNlcm5hbWU6")
            user = base64.b64decode(line)
            password = base64.b64decode((yield b"334 UGFzc3dvcmQ6"))
            good = users.get(user.decode()) == password.decode()
        case "CRAM-MD5":
            line = yield b"334 " + base64.b64encode(CHALLENGE)
            user, _, digest = base64.b64decode(line).rpartition(b" ")
            key = users.get(user.decode(), "").encode()
            good = bool(key) and hmac.new(key, CHALLENGE, "md5").hexdigest() == digest.decode()
        case "XOAUTH2":
            good = _holds(settings, *_xoauth2(base64.b64decode(initial)))
            if not good and (yield _REASON) != b"":
                return _SYNTAX
        case "OAUTHBEARER":
            good = _holds(settings, *_bearer(base64.b64decode(initial)))
            if not good and (yield _REASON) != base64.b64encode(b"\x01"):
                return _SYNTAX
        case _:
            return b"504 5.5.4 Unrecognized authentication type"
    return OK if good else REFUSED


def _holds(settings: Settings, user: str, token: str) -> bool:
    return settings.token_holds is not None and settings.token_holds(user, token)


def _xoauth2(line: bytes) -> tuple[str, str]:
    user, token, *rest = line.decode().split("\x01")
    assert rest == ["", ""]
    return _after("user=", user), _after("auth=Bearer ", token)


def _bearer(line: bytes) -> tuple[str, str]:
    header, host, port, token, *rest = line.decode().split("\x01")
    assert rest == ["", ""]
    assert _after("host=", host)
    assert _after("port=", port).isdigit()
    user = _after("n,a=", header).removesuffix(",").replace("=2C", ",").replace("=3D", "=")
    return user, _after("auth=Bearer ", token)


def _after(prefix: str, text: str) -> str:
    assert text.startswith(prefix)
    return text.removeprefix(prefix)
