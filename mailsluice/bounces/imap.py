"""Open a mailbox by IMAP: the link, TLS, the login, the list of folders (RFC 3501)."""

from __future__ import annotations

import imaplib
import ssl
from contextlib import suppress
from typing import NamedTuple

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.imap_utf7 import utf7_decode

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.token_login import log_in_with_token
from mailsluice.core.errors import MailboxError
from mailsluice.oauth.tokens import Tokens, TokenSource
from mailsluice.smtp.connection import Security
from mailsluice.smtp.replies import LINE_BYTES

_LARGEST_LITERAL = 64 << 20
"""Octets. All that is asked for is smaller, but some servers answer with a whole mail."""


class Folder(NamedTuple):
    """A folder as the server lists it."""

    name: str
    attributes: frozenset[str]
    """Attributes in lower case, such as `\\noselect` and `\\junk` (RFC 6154)."""


def connect(mailbox: MailboxAccount) -> BaseMailBox:
    """Connect, with the mailbox's `security`. Raises MailboxError for an unusable `ca_file`."""
    where = (mailbox.host, mailbox.port, mailbox.timeout_seconds)
    if mailbox.security is Security.NONE:
        return _bounded(MailBoxUnencrypted(*where))
    try:
        context = ssl.create_default_context(cafile=mailbox.ca_file)
    except OSError as error:
        raise MailboxError(
            f"ca_file {mailbox.ca_file!r} holds no readable certificate: {error.strerror}"
        ) from error
    kind = MailBox if mailbox.security is Security.TLS else MailBoxStartTls
    return _bounded(kind(*where, ssl_context=context))


def _bounded(box: BaseMailBox) -> BaseMailBox:
    """Have oversized literals refused: the library would read each into memory."""
    read = box.client.read

    def read_bounded(size: int) -> bytes:
        if size > _LARGEST_LITERAL:
            raise imaplib.IMAP4.abort(f"the server announces a literal of {size:,} octets")
        return read(size)

    box.client.read = read_bounded  # type: ignore[method-assign]
    return box


def log_in(box: BaseMailBox, mailbox: MailboxAccount, tokens: TokenSource | None = None) -> None:
    """Log in, and read what the server offers after the login.

    `tokens` are the access tokens of a run. Raises MailboxLoginError, or MailboxError.
    """
    if mailbox.oauth.is_used:
        log_in_with_token(box, mailbox, tokens or Tokens())
    else:
        _log_in_with_password(box, mailbox)
    # Many servers offer MOVE (RFC 6851) only after the login.
    _, data = box.client.capability()
    box.client.capabilities = tuple(data[-1].decode("ascii", "replace").upper().split())


def log_out(box: BaseMailBox) -> None:
    """Log out, if the link is still up, and close the link."""
    with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
        box.logout()
    with suppress(OSError):  # the logout has closed it
        box.client.shutdown()


def _log_in_with_password(box: BaseMailBox, mailbox: MailboxAccount) -> None:
    username, password = mailbox.username, mailbox.password
    is_ascii = username.isascii() and password.isascii()
    say = box.login if is_ascii else box.login_utf8
    try:
        say(username, password, initial_folder=None)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:  # of `login_utf8`
        raise MailboxLoginError(("NO", [str(error).encode()]), "OK") from error


def list_folders(box: BaseMailBox, pattern: bytes = b"*") -> list[Folder]:
    """List the server's folders. The library's own list takes quadratic time on a long line."""
    if {"SPECIAL-USE", "LIST-EXTENDED"} <= {*box.client.capabilities}:
        pattern += b" RETURN (SPECIAL-USE)"
    status, data = box.client.list(b'""', pattern)  # type: ignore[arg-type]
    if status != "OK":
        raise imaplib.IMAP4.error("LIST was refused")
    return [_folder(listed) for listed in data if listed]


def _folder(listed: bytes | tuple[bytes, bytes]) -> Folder:
    """Read `(\\HasNoChildren) "/" "Old mail"` (RFC 3501 section 7.2.2)."""
    if isinstance(listed, tuple):  # the name is a literal
        line, name = listed[0][:LINE_BYTES], listed[1][:LINE_BYTES]
    else:
        line = listed[:LINE_BYTES]
        name = line.partition(b") ")[2].partition(b" ")[2].strip(b'"')
    attributes = line.partition(b")")[0].lstrip(b"(").decode("ascii", "replace").lower().split()
    return Folder(_decoded(name), frozenset(attributes))


def _decoded(name: bytes) -> str:
    try:
        return utf7_decode(name)
    except ValueError:
        return name.decode("ascii", "replace")
