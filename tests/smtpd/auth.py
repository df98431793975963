"""AUTH PLAIN, LOGIN and CRAM-MD5, the server's side (RFC 4954, RFC 4616, RFC 2195)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Generator, Mapping

CHALLENGE = b"<1896.697170952@mail.example>"
OK = b"235 2.7.0 Authentication successful"
REFUSED = b"535 5.7.8 Authentication credentials invalid"


def login(method: str, initial: bytes, users: Mapping[str, str]) -> Generator[bytes, bytes, bytes]:
    """A dialogue: yields what the server says, takes the client's lines, returns the outcome."""
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
        case _:
            return b"504 5.5.4 Unrecognized authentication type"
    return OK if good else REFUSED
