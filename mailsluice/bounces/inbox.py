"""Read a mailbox by IMAP (RFC 3501)."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

from imap_tools import MailMessageFlags
from imap_tools.errors import ImapToolsError
from imap_tools.utils import encode_folder

from mailsluice.bounces.fetched import FIELDS, Fetched, fetched
from mailsluice.bounces.imap import connect, list_folders, log_in, log_out
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.mailbox_trouble import trouble
from mailsluice.core.errors import FetchRefusedError, MailboxError
from mailsluice.oauth.tokens import TokenSource

_WAITING = "UNFLAGGED UNDELETED"


class Inbox:
    """The open folder of a mailbox. All methods block, and raise MailboxError.

    A mail waits until it is moved to the processed folder, or flagged for a person to look at.
    """

    def __init__(self, mailbox: MailboxAccount, tokens: TokenSource | None = None) -> None:
        self._mailbox = mailbox
        with self._described():
            self._box = connect(mailbox)
        try:
            with self._described():
                log_in(self._box, mailbox, tokens)
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
        """Log out, if the link is still up, and close the link."""
        log_out(self._box)

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

    def _open_folders(self) -> None:
        if not list_folders(self._box, encode_folder(self._mailbox.processed_folder)):
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
            return [folder.name for folder in list_folders(self._box)]
        return []
