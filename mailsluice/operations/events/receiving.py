"""Check a request of a provider, and read its events."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
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
_MAX_REMEMBERED = 100_000


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
    """What proves a request cannot be had from the provider now; says why."""


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
                verify_login(request, source.key)
        return READERS[source.provider](request.body)

    def _notified(self, source: EventSource, request: Request) -> Batch:
        """Read a message of SNS; one that asks for a confirmation gets it, and has no events."""
        message = message_of(request.body)
        certificate = self._certificate(message.certificate_url)
        message.verify(certificate, source.key, self._clock())
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

        The same body again is a repetition by the provider, whose answer was lost.
        """
        digest, now = blake2b(body, digest_size=16).digest(), self._clock()
        if len(self._tokens) >= _MAX_REMEMBERED:
            self._tokens = {key: kept for key, kept in self._tokens.items() if kept.until > now}
        known = self._tokens.setdefault(
            (source.connection, token), _Token(digest, now + 2 * MAILGUN_WINDOW_SECONDS)
        )
        if known.digest != digest:
            raise ForgedRequestError("the signature belongs to another request")
