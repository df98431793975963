"""Read a mailbox by IMAP (RFC 3501)."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted, MailMessageFlags
from imap_tools.errors import ImapToolsError, MailboxLoginError
from imap_tools.imap_utf7 import utf7_decode
from imap_tools.utils import encode_folder

from mailsluice.bounces.fetched import FIELDS, Fetched, fetched
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.mailbox_trouble import trouble
from mailsluice.core.errors import FetchRefusedError, MailboxError
from mailsluice.smtp.connection import Security
from mailsluice.smtp.replies import LINE_BYTES

_WAITING = "UNFLAGGED UNDELETED"


class Inbox:
    """The open folder of a mailbox. All methods block, and raise MailboxError.

    A mail waits until it is moved to the processed folder, or flagged for a person to look at.
    """

    def __init__(self, mailbox: MailboxAccount) -> None:
        self._mailbox = mailbox
        with self._described():
            self._box = _connect(mailbox)
        try:
            with self._described():
                self._log_in()
                self._open_folders()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Log out, if the link is still up."""
        with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
            self._box.logout()

    def waiting(self) -> list[str]:
        """Return the UIDs of mails that are neither moved nor flagged, the oldest first."""
        with self._described():
            return self._box.uids(_WAITING, charset=None)

    def fetch(self, uids: Sequence[str]) -> list[Fetched]:
        """Read the beginnings of mails, which stay unread. Mails that are gone are left out.

        Raises FetchRefusedError if the server cannot read one of the mails.
        """
        with self._described():
            status, data = self._box.client.uid("FETCH", ",".join(uids), FIELDS)
        if status != "OK":
            words = b" ".join(item for item in data if isinstance(item, bytes))
            error = imaplib.IMAP4.error(words)
            raise FetchRefusedError(trouble(error, self._mailbox, self._folders))
        return fetched(data)

    def move_processed(self, uids: Sequence[str]) -> None:
        """Move mails to the processed folder."""
        if uids:
            with self._described():
                self._box.move(uids, self._mailbox.processed_folder)

    def flag(self, uids: Sequence[str]) -> None:
        """Flag mails for a person to look at; mail programs show the flag as a star."""
        if uids:  # the library's method also expunges mails that others have deleted
            with self._described():
                status, data = self._box.client.uid(
                    "STORE", ",".join(uids), "+FLAGS.SILENT", f"({MailMessageFlags.FLAGGED})"
                )
                if status != "OK":
                    raise imaplib.IMAP4.error(f"STORE: {data!r}")

    def _log_in(self) -> None:
        username, password = self._mailbox.username, self._mailbox.password
        is_ascii = username.isascii() and password.isascii()
        log_in = self._box.login if is_ascii else self._box.login_utf8
        try:
            log_in(username, password, initial_folder=None)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:  # of `login_utf8`
            raise MailboxLoginError(("NO", [str(error).encode()]), "OK") from error
        # Many servers offer MOVE (RFC 6851) only after the login.
        _, data = self._box.client.capability()
        self._box.client.capabilities = tuple(data[-1].decode("ascii", "replace").upper().split())

    def _open_folders(self) -> None:
        if not self._list(encode_folder(self._mailbox.processed_folder)):
            self._box.folder.create(self._mailbox.processed_folder)
        self._box.folder.set(self._mailbox.folder)

    @contextmanager
    def _described(self) -> Iterator[None]:
        """Turn errors into a MailboxError that says what to do."""
        try:
            yield
        except (imaplib.IMAP4.error, ImapToolsError, OSError) as error:
            # Logs would show the cause, with addresses and a repeated password.
            raise MailboxError(trouble(error, self._mailbox, self._folders)) from None

    def _folders(self) -> list[str]:
        with suppress(imaplib.IMAP4.error, ImapToolsError, OSError):
            return [_folder_name(listed) for listed in self._list(b"*")]
        return []

    def _list(self, pattern: bytes) -> list[bytes | tuple[bytes, bytes]]:
        """List the server's folders, without the library, whose pattern takes quadratic time."""
        status, data = self._box.client.list(b'""', pattern)  # type: ignore[arg-type]
        if status != "OK":
            raise imaplib.IMAP4.error("LIST was refused")
        return [listed for listed in data if listed]


def _folder_name(listed: bytes | tuple[bytes, bytes]) -> str:
    """Return the name in `(\\HasNoChildren) "/" "Old mail"` (RFC 3501 section 7.2.2)."""
    if isinstance(listed, tuple):  # the name is a literal
        name = listed[1][:LINE_BYTES]
    else:
        name = listed[:LINE_BYTES].partition(b") ")[2].partition(b" ")[2].strip(b'"')
    try:
        return utf7_decode(name)
    except ValueError:
        return name.decode("ascii", "replace")


def _connect(mailbox: MailboxAccount) -> BaseMailBox:
    where = (mailbox.host, mailbox.port, mailbox.timeout_seconds)
    if mailbox.security is Security.NONE:
        return MailBoxUnencrypted(*where)
    try:
        context = ssl.create_default_context(cafile=mailbox.ca_file)
    except OSError as error:
        raise MailboxError(
            f"ca_file {mailbox.ca_file!r} holds no readable certificate: {error.strerror}"
        ) from error
    kind = MailBox if mailbox.security is Security.TLS else MailBoxStartTls
    return kind(*where, ssl_context=context)
