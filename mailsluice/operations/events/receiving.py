"""Check a request of a provider, and read its events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

import httpx

from mailsluice.campaign.identity import Provider
from mailsluice.events.batch import Batch
from mailsluice.events.signatures import (
    MAILGUN_WINDOW_SECONDS,
    ForgedRequestError,
    Request,
    verify_login,
    verify_mailgun,
    verify_sendgrid,
    verify_signed,
)
from mailsluice.events.sns import SnsKind, message_of
from mailsluice.operations.events.sources import READERS, EventSource

Fetch = Callable[[str], bytes]
"""Gets what a URL holds. Raises OSError or httpx.HTTPError."""

_MAX_FETCHED = 64 * 1024
_MAX_REMEMBERED = 200_000
_LOGINS = (Provider.SPARKPOST, Provider.POSTMARK, Provider.BREVO, Provider.MAILJET)
"""Providers that send a login, so that the header fields alone prove their requests."""
_SMALL = (Provider.MAILGUN, Provider.SES)
"""Providers whose requests have one event, and are proven only once their JSON has been read."""
_LARGEST_SMALL = 1024 * 1024
_LARGEST = 8 * 1024 * 1024


def fetch(url: str) -> bytes:
    """Get a small document over HTTPS, without following redirections."""
    with httpx.stream("GET", url, timeout=10, follow_redirects=False) as response:
        response.raise_for_status()
        content = b""
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _MAX_FETCHED:
                raise OSError("the document is too large")
        return content


class ProviderUnreachableError(Exception):
    """The certificate that proves a request cannot be fetched now; says why."""


def largest_request(provider: Provider) -> int:
    """Return the most octets of a request's body."""
    return _LARGEST_SMALL if provider in _SMALL else _LARGEST


class _Token(NamedTuple):
    digest: bytes
    until: float


class Reception:
    """Checks requests, and remembers what has to be seen only once. Blocking; thread-safe."""

    def __init__(self, *, fetch: Fetch = fetch, clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._certificates: dict[str, bytes] = {}
        self._tokens: dict[tuple[str, str], _Token] = {}
        """Tokens of Mailgun, the oldest first."""
        self._remembering = Lock()

    def admit(self, source: EventSource, headers: Mapping[str, str]) -> None:
        """Refuse a request by its header fields, if they show that the provider has not sent it.

        Raises ForgedRequestError.
        """
        if source.provider in _LOGINS:
            verify_login(Request(headers, b""), source.key)

    def read(self, source: EventSource, request: Request) -> Batch:
        """Prove that the provider has sent this request, and read its events.

        Raises ForgedRequestError if the provider is not proven, UnreadableEventError if the request
        has not the provider's form.
        """
        match source.provider:
            case Provider.SENDGRID:
                verify_sendgrid(request, source.key, self._clock())
            case Provider.MAILGUN:
                token = verify_mailgun(request, source.key, self._clock())
                self._check_used_once(source, token, request.body)
            case Provider.SES:
                return self._notified(source, request)
            case Provider.NONE:
                verify_signed(request, source.key, self._clock())
            case _:
                self.admit(source, request.headers)
        return READERS[source.provider](request.body)

    def _notified(self, source: EventSource, request: Request) -> Batch:
        """Read a message of SNS; one that asks for a confirmation gets it, and has no events."""
        message = message_of(request.body)
        message.check(source.key, self._clock())
        message.verify(self._certificate(message.certificate_url))
        if message.kind is SnsKind.CONFIRMATION:
            self._fetched(message.subscribe_url)
            return Batch()
        return READERS[Provider.SES](message.content.encode())

    def _certificate(self, url: str) -> bytes:
        if url not in self._certificates:
            if len(self._certificates) > 100:
                self._certificates.clear()
            self._certificates[url] = self._fetched(url)
        return self._certificates[url]

    def _fetched(self, url: str) -> bytes:
        try:
            return self._fetch(url)
        except (OSError, httpx.HTTPError) as error:
            raise ProviderUnreachableError(type(error).__name__) from None

    def _check_used_once(self, source: EventSource, token: str, body: bytes) -> None:
        """Refuse a token that came with another body before: the signature does not cover it.

        The same body again is a repetition by the provider, whose answer was lost. Only so many
        tokens are remembered; the oldest are forgotten first.
        """
        digest, now = blake2b(body, digest_size=16).digest(), self._clock()
        with self._remembering:
            known = self._tokens.setdefault(
                (source.connection, token), _Token(digest, now + 2 * MAILGUN_WINDOW_SECONDS)
            )
            oldest = next(iter(self._tokens))
            if len(self._tokens) > _MAX_REMEMBERED or self._tokens[oldest].until <= now:
                del self._tokens[oldest]
        if known.digest != digest:
            raise ForgedRequestError("the signature belongs to another request")
