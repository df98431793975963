"""DKIM-Signature fields (RFC 6376 section 3.5), from a message and keys. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256

from mailsluice.smtp.dkim.canonical import relaxed_body, relaxed_field, signed_fields
from mailsluice.smtp.dkim.keys import PrivateKey, algorithm, is_quick, read_key, sign
from mailsluice.smtp.dkim.settings import Dkim

_OVERSIGNED = (
    "from",
    "to",
    "subject",
    "date",
    "reply-to",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
)
"""Fields to which nobody may add another one: a reader could show it instead, or act on it."""
_SIGNED = (
    "cc",
    "message-id",
    "mime-version",
    "content-transfer-encoding",
    "list-id",
    "feedback-id",
)
_FOLD = b"\r\n\t"
_LINE = 76
_NAME = b"DKIM-Signature"
_TIMESTAMP = 10
"""Digits of a time in seconds, from 2001 to 2286."""


def signed_names(also: Iterable[str] = ()) -> list[str]:
    """Return the names of `h=`, in order: oversigned names are listed twice.

    All messages have the same list, so that signatures have the same length. A field that a message
    does not have is signed as absent.
    """
    once = dict.fromkeys((*_SIGNED, *also))
    return [
        *(name for name in _OVERSIGNED for _ in range(2)),
        *(name for name in once if name not in _OVERSIGNED),
    ]


class MessageSigner:
    """Signs messages with the keys of a connection. Threads may share it."""

    def __init__(self, dkim: Dkim) -> None:
        names = signed_names(dkim.also_sign)
        self._names = [name.encode() for name in names]
        self._signatures = [
            _Signature(str(dkim.domain), selector, read_key(key.get_secret_value()), names)
            for selector, key in dkim.signatures
        ]
        self.is_quick = all(
            is_quick(read_key(key.get_secret_value())) for _, key in dkim.signatures
        )
        """Whether a signature takes no longer than other steps of a message."""
        self.octets = len(self.sign(b"\r\n\r\n", 10 ** (_TIMESTAMP - 1))) - len(b"\r\n\r\n")
        """How much longer a message becomes."""

    def sign(self, content: bytes, timestamp: int) -> bytes:
        """Return the message with its signatures in front.

        Args:
            content: The message; every line ends with CRLF.
            timestamp: When it is signed, in seconds since 1970.
        """
        head, _, body = content.partition(b"\r\n\r\n")
        body_hash = b64encode(sha256(relaxed_body(body)).digest())
        fields = signed_fields(head, self._names)
        time = b"%0*d" % (_TIMESTAMP, timestamp)
        signed = [one.field(fields, body_hash, time) for one in self._signatures]
        return b"".join([*signed, content])


class _Signature:
    """One signature of each message."""

    def __init__(self, domain: str, selector: str, key: PrivateKey, names: Sequence[str]) -> None:
        tags = f" v=1; a={algorithm(key)}; c=relaxed/relaxed;"
        where = f"d={domain}; s={selector};"
        self._key = key
        self._before_time = b"%b%b%b%bt=" % (tags.encode(), _FOLD, where.encode(), _FOLD)
        self._before_hash = b";%bh=%b;%bbh=" % (_FOLD, _folded_names(names), _FOLD)
        self._canonical_time = relaxed_field(_NAME, self._before_time)
        self._canonical_hash = relaxed_field(b"", self._before_hash)[1:]

    def field(self, fields: bytes, body_hash: bytes, timestamp: bytes) -> bytes:
        """Return a DKIM-Signature field, with its line end.

        The field signs itself too, with an empty `b=` and without a line end (section 3.7).
        """
        signed = b"%b%b%b%b%b; b=" % (
            fields,
            self._canonical_time,
            timestamp,
            self._canonical_hash,
            body_hash,
        )
        lines = _FOLD.join(_lines(b64encode(sign(self._key, signed))))
        before = self._before_time + timestamp + self._before_hash + body_hash
        return b"%b:%b;%bb=%b\r\n" % (_NAME, before, _FOLD, lines)


def _folded_names(names: Sequence[str]) -> bytes:
    """Join names by colons, in lines (section 3.5 allows folding around a colon)."""
    lines = [names[0]]
    for name in names[1:]:
        if len(lines[-1]) + len(name) > _LINE - 5:
            lines.append(name)
        else:
            lines[-1] += f":{name}"
    return (":" + _FOLD.decode()).join(lines).encode()


def _lines(signature: bytes) -> list[bytes]:
    """Cut base64 into lines, the first of which follows `b=`."""
    length = _LINE - 4
    return [signature[at : at + length] for at in range(0, len(signature), length)]
