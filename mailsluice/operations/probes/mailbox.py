"""Read a probe mailbox by IMAP. Nothing in the mailbox is changed.

Folders are opened by EXAMINE and read by BODY.PEEK, so that mail keeps its flags (RFC 3501 sections
6.3.2, 6.4.5). Which mail is new is known from UIDNEXT, noted before the copies are sent, rather
than from a search, which servers index late or in part. Copies are then known by their headers.
"""

from __future__ import annotations

import imaplib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self

from imap_tools.errors import ImapToolsError, MailboxFolderSelectError

from mailsluice.bounces.fetched import Fetched, fetched
from mailsluice.bounces.imap import connect, list_folders, log_in, log_out
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.mailbox_trouble import folders_text, trouble
from mailsluice.core.errors import MailboxError
from mailsluice.oauth.tokens import TokenSource
from mailsluice.operations.probes.delivered import Delivered, Placement, read_copy
from mailsluice.operations.probes.fields import MAX_OCTETS, PROBE_HEADER, fields_of, first
from mailsluice.operations.probes.folders import folders_by_use

_MOST_NEW = 500
"""New mails of a folder that are looked at, the newest: a probe mailbox gets little other mail."""
_FETCHED_AT_ONCE = 50
_FIELDS = f"(UID INTERNALDATE BODY.PEEK[HEADER]<0.{MAX_OCTETS}>)"


class Mark(NamedTuple):
    """The next id of a folder's mail when it was looked at (RFC 3501 section 2.3.1.1)."""

    validity: int
    uid: int


class ProbeMailbox:
    """An open probe mailbox. All methods block, and raise MailboxError."""

    def __init__(self, account: MailboxAccount, tokens: TokenSource | None = None) -> None:
        self._account = account
        with self._described():
            self._box = connect(account)
        try:
            with self._described():
                log_in(self._box, account, tokens)
                listed = list_folders(self._box)
                self._names = [folder.name for folder in listed]
                self._folders = folders_by_use(listed, account.folder, account.spam_folder)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out, if the link is still up, and close the link."""
        log_out(self._box)

    def marks(self) -> dict[str, Mark]:
        """Return where new mail begins in each folder.

        Raises MailboxError, too, if there is no folder of the names in the block.
        """
        marks = {}
        for name, placement in self._folders:
            with self._described():
                if mark := self._mark(name):
                    marks[name] = mark
                elif placement is Placement.INBOX:
                    self._box.folder.set(name, readonly=True)  # raises what the server says of it
        if (spam := self._account.spam_folder) and spam not in marks:
            raise MailboxError(
                f"mailbox at {self._account.host}:{self._account.port}: there is no folder"
                f" {spam!r}, which the block names as its spam folder; there is:"
                f" {folders_text(self._names)}. Correct it, or leave it empty"
            )
        return marks

    def find(self, copies: Collection[str], since: dict[str, Mark]) -> dict[str, Delivered]:
        """Look for copies in mail that came after the marks, which move on.

        Args:
            copies: What the copies' PROBE_HEADER says.
            since: Where new mail begins in each folder; changed to where the next look begins.

        Returns what was found, by the header's value.
        """
        found: dict[str, Delivered] = {}
        for name, placement in self._folders:
            with self._described():
                now = self._mark(name)
            before = since.get(name)
            if now is None or now == before:
                continue
            is_same = before is not None and before.validity == now.validity
            for mail in self._new(name, before.uid if before and is_same else 1):
                header = fields_of(mail.content)
                copy = first(header, PROBE_HEADER.lower())
                if copy in copies and copy not in found:
                    found[copy] = read_copy(
                        mail.content,
                        placement=placement,
                        folder=name,
                        internal_date=mail.at,
                        host=self._account.host,
                    )
            since[name] = now
        return found

    def _mark(self, name: str) -> Mark | None:
        """Return where new mail will begin in a folder; None if it cannot be looked at."""
        try:
            status = self._box.folder.status(name, ["UIDVALIDITY", "UIDNEXT"])
        except ImapToolsError:
            return None
        return Mark(status.get("UIDVALIDITY", 0), status.get("UIDNEXT", 1))

    def _new(self, name: str, first_uid: int) -> Iterator[Fetched]:
        with self._described():
            try:
                self._box.folder.set(name, readonly=True)
            except MailboxFolderSelectError:  # deleted a moment ago
                return
            uids = self._box.uids(f"UID {first_uid}:*", charset=None)
            # `*` is the last mail, even where it is older than the range's beginning.
            new = [uid for uid in uids if int(uid) >= first_uid][-_MOST_NEW:]
        for start in range(0, len(new), _FETCHED_AT_ONCE):
            with self._described():
                mails = self._fetch(new[start : start + _FETCHED_AT_ONCE])
            yield from mails
        with self._described():
            self._box.client.close()  # of a folder that was opened to read: removes nothing

    def _fetch(self, uids: Sequence[str]) -> list[Fetched]:
        status, data = self._box.client.uid("FETCH", ",".join(uids), _FIELDS)
        if status != "OK":
            raise imaplib.IMAP4.error("FETCH was refused")
        return fetched(data)

    @contextmanager
    def _described(self) -> Iterator[None]:
        """Turn errors into a MailboxError that says what to do."""
        try:
            yield
        except (imaplib.IMAP4.error, ImapToolsError, OSError) as error:
            # Logs would show the cause, with addresses and a repeated password.
            raise MailboxError(trouble(error, self._account, self._listed)) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise MailboxError(
                f"mailbox at {self._account.host}:{self._account.port}: an answer of the server"
                f" cannot be read ({type(error).__name__}): is this an IMAP server?"
            ) from None

    def _listed(self) -> list[str]:
        return self._names
