"""Describe errors of a mailbox, with the next step."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence

from imap_tools.errors import (
    MailboxFolderCreateError,
    MailboxFolderSelectError,
    MailboxLoginError,
    UnexpectedCommandStatusError,
)

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.masking import masked, without_secrets
from mailsluice.smtp.connection import Security
from mailsluice.smtp.replies import LINE_BYTES, bounded

_SHOWN_FOLDERS = 20
_SHOWN = 300
_LONGEST_FOLDER = 60


def trouble(error: Exception, mailbox: MailboxAccount, folders: Callable[[], Sequence[str]]) -> str:
    """Describe an error in one or two sentences, without addresses and secrets.

    `folders` returns the names of the mailbox's folders, and is only called if they are needed.
    """
    return without_secrets(
        _text(error, mailbox, folders), (mailbox.password, *mailbox.oauth.secrets())
    )


def _text(error: Exception, mailbox: MailboxAccount, folders: Callable[[], Sequence[str]]) -> str:
    where = f"mailbox at {mailbox.host}:{mailbox.port}"
    if isinstance(error, MailboxLoginError) and mailbox.oauth.is_used:
        return (
            f"{where}: the server refused a fresh access token ({_words(error)}): is the user name"
            " the mailbox that was authorised, is IMAP switched on for it, is the scope right? Or"
            f" authorise it again: `python -m deployments.authorise {mailbox.name}`"
        )
    if isinstance(error, MailboxLoginError):
        return (
            f"{where}: the login was refused ({_words(error)}): check user name and password in the"
            " block; many providers need a separate password for each program"
        )
    if isinstance(error, MailboxFolderSelectError):
        return (
            f"{where}: folder {mailbox.folder!r} cannot be opened ({_words(error)}); there is:"
            f" {folders_text(folders())}. Correct the folder in the block"
        )
    if isinstance(error, MailboxFolderCreateError):
        return (
            f"{where}: folder {mailbox.processed_folder!r} cannot be made ({_words(error)}); there"
            f" is: {folders_text(folders())}. Make the folder there, or name another one in the"
            " block"
        )
    return f"{where}: {_link(error, mailbox)}"


def folders_text(folders: Sequence[str]) -> str:
    """List folders, bounded and without addresses."""
    shown = (masked(folder[:_LONGEST_FOLDER]) for folder in folders[:_SHOWN_FOLDERS])
    return ", ".join(shown) or "no folder that the server lists"


def _link(error: Exception, mailbox: MailboxAccount) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate does not verify: {error.verify_message.rstrip('.')}. Is host the name"
            " in the certificate? For a CA of your own set ca_file"
        )
    if isinstance(error, ssl.SSLError) and mailbox.security is Security.TLS:
        return f"no TLS: {error.reason or error}. If this port starts in plain, use starttls"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: is the server up, are host and port right?"
    if isinstance(error, socket.gaierror):
        return f"the host was not found: {error.strerror}"
    if isinstance(error, TimeoutError):
        return (
            f"no answer in {mailbox.timeout_seconds:g} s. Are port and security right? A port that"
            " expects TLS from the first byte stays silent: then set security to tls"
        )
    return f"{_words(error)}. The next run continues"


def _words(error: Exception) -> str:
    """Return the server's words, or else the error's, bounded and without addresses.

    NUL, which PostgreSQL refuses, is replaced.
    """
    words: object = error
    if isinstance(error, UnexpectedCommandStatusError):
        data = [item[:LINE_BYTES] for item in error.command_result[1] if isinstance(item, bytes)]
        words = b" ".join(data[:_SHOWN_FOLDERS]).decode("utf-8", "replace")
    text = bounded(str(words)).replace("\0", "\ufffd") or type(error).__name__
    return masked(text)[:_SHOWN].rstrip(".")
