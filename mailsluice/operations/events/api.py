"""Ask a provider's API: in time, within bounds, and again where that helps.

Answers are not compressed, so that their size is known. Redirections are not followed: the key goes
to the configured host alone. Nothing of an answer is shown, since events contain addresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import httpx
import orjson

from mailsluice.core.errors import EventsApiError
from mailsluice.events.pulled.page import ApiRequest

MOST_OCTETS = 16 * 1024 * 1024
"""Octets of an answer."""
MOST_TRIES = 4
LONGEST_PAUSE_SECONDS = 60.0
"""A provider that asks for a longer pause is asked again by the next run."""
LONGEST_ANSWER_SECONDS = 120.0
_TIMEOUT_SECONDS = 30.0
_PAUSES = ("retry-after", "x-sib-ratelimit-reset")
"""Header fields that say in how many seconds to ask again."""
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_NO_HOST = (httpx.InvalidURL, UnicodeError)
"""The errors of names that no host may have (RFC 1035, IDNA), such as a..example."""
_CORRECT_URL = "the API URL or the queue URL names a host that cannot exist: correct it"

Pause = Callable[[float], bool]
"""Waits so many seconds; returns whether the run goes on."""


class RefusedError(EventsApiError):
    """The API has refused a request.

    Attributes:
        status: The HTTP status.
        kind: The type of the error that Amazon names, or empty.
    """

    def __init__(self, status: int, kind: str) -> None:
        self.status, self.kind = status, kind
        super().__init__(f"the API answers {status}{f' ({kind})' if kind else ''}")


class EventsClient:
    """An HTTP client for one account's API. Use it as a context manager."""

    def __init__(self, url: str, pause: Pause) -> None:
        """Raises EventsApiError if the URL cannot be that of a host."""
        self._pause = pause
        try:
            self._client = httpx.Client(
                base_url=url,
                timeout=_TIMEOUT_SECONDS,
                follow_redirects=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "mailsluice"},
            )
        except _NO_HOST:
            raise EventsApiError(_CORRECT_URL) from None

    def __enter__(self) -> EventsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, make: Callable[[], ApiRequest]) -> bytes:
        """Return the body of the answer; passing trouble is tried again.

        Args:
            make: Makes the request, for each try: signatures are about a time.

        Raises:
            RefusedError: The API refuses the request.
            EventsApiError: There is no usable answer, or the run is stopped.
        """
        for attempt in range(1, MOST_TRIES + 1):
            try:
                status, headers, body = self._exchange(make())
            except _NO_HOST:
                raise EventsApiError(_CORRECT_URL) from None
            except httpx.TransportError as error:
                trouble = EventsApiError(f"the API cannot be reached ({type(error).__name__})")
                seconds = _backoff(attempt)
            else:
                if status == 200:
                    return body
                trouble = RefusedError(status, _kind(body))
                if status not in _PASSING and "Throttl" not in trouble.kind:
                    raise trouble
                seconds = _asked_pause(headers) or _backoff(attempt)
            if seconds > LONGEST_PAUSE_SECONDS:
                raise EventsApiError(
                    f"{trouble}, and asks for a pause of {seconds:,.0f} seconds: the next run"
                    " goes on"
                )
            if attempt < MOST_TRIES and not self._pause(seconds):
                raise EventsApiError("the run was stopped")
        raise EventsApiError(f"{trouble}, {MOST_TRIES} times: the next run goes on")

    def _exchange(self, request: ApiRequest) -> tuple[int, Mapping[str, str], bytes]:
        give_up_at = time.monotonic() + LONGEST_ANSWER_SECONDS
        with self._client.stream(
            "GET" if request.body is None else "POST",
            request.path,
            params=request.params or None,
            headers=request.headers,
            content=request.body,
        ) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise EventsApiError("the answer is compressed although that was not asked for")
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MOST_OCTETS:
                    raise EventsApiError("the answer is too large")
                if time.monotonic() > give_up_at:
                    raise httpx.ReadTimeout("slow")
            return response.status_code, response.headers, bytes(body)


def _backoff(attempt: int) -> float:
    return float(2**attempt)


def _asked_pause(headers: Mapping[str, str]) -> float | None:
    for name in _PAUSES:
        value = headers.get(name, "").strip()
        if value.isascii() and value.isdigit() and len(value) <= 6:
            return float(value)
    return None


def _kind(body: bytes) -> str:
    """Return the type of error that Amazon's JSON protocol names, without its namespace."""
    if len(body) > 64 * 1024:
        return ""
    try:
        kind = orjson.loads(body).get("__type", "")
    except (orjson.JSONDecodeError, AttributeError):
        return ""
    last = kind.rpartition("#")[2].rpartition(".")[2] if isinstance(kind, str) else ""
    return last if last.isalnum() and len(last) <= 60 else ""
