"""Log in to a mailbox with an access token (RFC 3501 section 6.2.2)."""

from __future__ import annotations

import asyncio
import imaplib
from collections.abc import Callable

from imap_tools import BaseMailBox
from imap_tools.errors import MailboxLoginError

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.errors import MailboxError
from mailsluice.core.masking import without_secrets
from mailsluice.oauth.sasl import AFTER_REASON, TOKEN_METHODS, first_response
from mailsluice.oauth.tokens import TokenSource
from mailsluice.oauth.trouble import TokenError

_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]")
"""Codes of refusals that say nothing about the token (RFC 5530 section 3)."""
_SHOWN_METHODS, _LONGEST_METHOD = 10, 20


def log_in_with_token(box: BaseMailBox, mailbox: MailboxAccount, tokens: TokenSource) -> None:
    """Log in; if the server refuses the token, try once more with another token.

    A token may be revoked before it expires. Blocks, so no event loop may run in this thread.

    Raises:
        MailboxLoginError: The server refuses the other token as well, or has ended the link after
            the first.
        MailboxError: The token server issues no token, or the mailbox's server takes none.
        imaplib.IMAP4.error: The trouble is not about the token. No error contains a token.
    """
    method = _method(box, mailbox)
    token = _token(mailbox, tokens)
    try:
        _authenticate(box, method, mailbox, token)
    except MailboxLoginError as refusal:
        other = _token(mailbox, tokens, refused=token)
        try:
            _authenticate(box, method, mailbox, other)
        except (imaplib.IMAP4.abort, OSError):  # some servers allow one try in a session
            raise refusal from None


def _method(box: BaseMailBox, mailbox: MailboxAccount) -> str:
    offered = [
        capability.removeprefix("AUTH=").lower()
        for capability in box.client.capabilities
        if capability.startswith("AUTH=")
    ]
    method = next((known for known in TOKEN_METHODS if known in offered), None)
    if method is None:
        readable = filter(str.isprintable, offered[:_SHOWN_METHODS])
        shown = ", ".join(name[:_LONGEST_METHOD] for name in readable)
        raise MailboxError(
            f"mailbox at {mailbox.host}:{mailbox.port}: the server offers no login with OAuth, only"
            f" {shown or 'a plain login'}; Mailsluice knows {', '.join(TOKEN_METHODS)}. Clear the"
            " block's OAuth box and enter a password, or correct the host"
        )
    return method


def _token(mailbox: MailboxAccount, tokens: TokenSource, refused: str | None = None) -> str:
    try:
        return asyncio.run(tokens.token(mailbox, refused))
    except TokenError as error:
        raise MailboxError(f"mailbox at {mailbox.host}:{mailbox.port}: {error}") from None


def _authenticate(box: BaseMailBox, method: str, mailbox: MailboxAccount, token: str) -> None:
    """Log in with a token, which is sent when the server asks for it (RFC 3501 section 6.2.2).

    Every server supports that; the token may come with the command only where SASL-IR is offered
    (RFC 4959 section 3). `BaseMailBox.xoauth2` is not used: when a server gives the reason of a
    refusal, that method sends the token again, and it raises an error of imaplib.
    """
    reasons: list[bytes] = []
    first = first_response(method, mailbox.username, mailbox.host, mailbox.port, token)
    try:
        box.client.authenticate(method, _answers(first, AFTER_REASON[method], reasons))
    except imaplib.IMAP4.abort as error:
        raise imaplib.IMAP4.abort(without_secrets(str(error), (token,))) from None
    except ValueError:  # a challenge that is not base64
        raise imaplib.IMAP4.error("the server's answer to AUTHENTICATE is malformed") from None
    except imaplib.IMAP4.error as error:
        said = " ".join([str(error), *(reason.decode("utf-8", "replace") for reason in reasons)])
        words = " ".join(without_secrets(said, (token,)).split())
        if words.upper().startswith(_PASSING):
            raise imaplib.IMAP4.error(words) from None
        raise MailboxLoginError(("NO", [words.encode()]), "OK") from None


def _answers(first: bytes, after_reason: bytes, reasons: list[bytes]) -> Callable[[bytes], bytes]:
    """Return what answers a server's challenges; `reasons` gets the text of each."""
    answers = iter((first, after_reason))

    def answer(challenge: bytes) -> bytes:
        if challenge:
            reasons.append(challenge)
        try:
            return next(answers)
        except StopIteration:
            raise imaplib.IMAP4.abort(
                "the server asks again and again after AUTHENTICATE"
            ) from None

    return answer
