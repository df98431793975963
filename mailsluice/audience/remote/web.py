"""Download a list over https.

Redirects are followed to https only, and the login is sent only to the folder of its storage. A
server with a private IP address is read only through a storage that allows that: everybody who may
start a campaign can enter a URL, and the worker's network may hold what is not meant for them. The
answer has to say where it ends, so that a broken download cannot pass for a short list.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from mailsluice.audience.remote.limits import copied
from mailsluice.audience.remote.storage import Storage
from mailsluice.campaign.list_url import download_url, shown_url
from mailsluice.core.errors import AudienceError

MOST_REDIRECTIONS = 5
_TIMEOUT_SECONDS = 60.0
_REFUSED = frozenset((401, 403, 404, 407, 410))


class _WithoutQueries(logging.Filter):
    """Cut the query off the URLs that httpx logs: it may be a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                shown_url(str(part)) if isinstance(part, httpx.URL) else part
                for part in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_WithoutQueries())


def download(url: str, storage: Storage | None, file: BinaryIO) -> None:
    """Write what is at an https URL to a file.

    Raises:
        PermissionError: The server refuses, or has nothing there; the message does not advise.
        AudienceError: The list cannot be downloaded. The message does not contain the URL.
    """
    context = _trusted(storage)
    address = download_url(url)
    try:
        for _ in range(MOST_REDIRECTIONS + 1):
            with _answer(address, storage, context) as response:
                if "location" not in response.headers or not response.is_redirect:
                    return _take(response, file)
                address = _next(address, response.headers["location"])
    except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
        raise AudienceError(_trouble(error)) from None
    raise AudienceError(
        f"the server redirects more than {MOST_REDIRECTIONS} times: give the file's own URL"
    )


@contextmanager
def _answer(
    address: str, storage: Storage | None, context: ssl.SSLContext
) -> Iterator[httpx.Response]:
    is_own = storage is not None and storage.covers(address)
    headers, auth = _login(storage) if storage and is_own else ({}, None)
    proxy = _proxy_for(address)
    if storage and is_own and storage.query:
        address += ("&" if urlsplit(address).query else "?") + storage.query.lstrip("?")
    is_allowed = storage and is_own and storage.in_private_network
    is_checked = not is_allowed and proxy is None  # a proxy decides for itself where it connects
    if is_checked:
        _refuse_private_host(address)
    with (
        httpx.Client(
            verify=context,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            proxy=proxy,
            trust_env=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "mailsluice"},
        ) as client,
        client.stream(
            "GET",
            address,
            headers=headers,
            auth=auth,
            extensions={"trace": _refuse_private_link} if is_checked else {},
        ) as response,
    ):
        yield response


def _proxy_for(address: str) -> str | None:
    """Return the proxy that the environment names for a URL; None if there is none.

    The client does not choose by itself: the answer of a server is checked unless a proxy gave it,
    also where NO_PROXY is set.
    """
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(urlsplit(address).netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _login(storage: Storage) -> tuple[Mapping[str, str], Any]:
    if storage.token:
        return {"Authorization": f"Bearer {storage.token}"}, None
    if storage.username:
        return {}, httpx.BasicAuth(storage.username, storage.password or "")
    return {}, None


def _trusted(storage: Storage | None) -> ssl.SSLContext:
    ca_file = storage.ca_file if storage else None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise AudienceError(
            f"the CA file of the storage {storage.name if storage else ''!r} cannot be read"
            f" ({getattr(error, 'reason', None) or error.strerror}): correct it"
        ) from None


def _next(address: str, location: str) -> str:
    """Return the URL that a redirection leads to."""
    target = urljoin(address, location)
    try:
        parts = urlsplit(target)
        is_safe = parts.scheme == "https" and "@" not in parts.netloc
    except ValueError:
        is_safe = False
    if not is_safe:
        raise AudienceError(
            "the server redirects to a URL that is not https: give the file's own URL"
        )
    return target


def _refuse_private_host(address: str) -> None:
    """Refuse a URL whose host has a private IP address, without a connection to it."""
    parts = urlsplit(address)
    try:
        found = getaddrinfo(parts.hostname, parts.port or 443, type=SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return  # the client says it better
    for *_, place in found:
        _refuse_private(str(place[0]))


def _refuse_private_link(event: str, info: Mapping[str, Any]) -> None:
    """Refuse a server before anything is sent to it: its name may have another IP address now."""
    if event == "connection.connect_tcp.complete":
        stream = info["return_value"]
        try:
            _refuse_private(stream.get_extra_info("server_addr")[0])
        except AudienceError:
            stream.close()
            raise


def _refuse_private(host: str) -> None:
    if not _is_public(host):
        raise AudienceError(
            "its server is in a private network: to read lists there, create a List Storage block"
            " for the folder with 'in a private network', and name it as storage"
        )


def _is_public(host: str) -> bool:
    """Whether an IP address is reached over the internet, also where IPv6 wraps one of IPv4."""
    address = ip_address(host.partition("%")[0])
    return ((address.version == 6 and address.ipv4_mapped) or address).is_global


def _take(response: httpx.Response, file: BinaryIO) -> None:
    """Write the body of an answer to a file."""
    if response.status_code in _REFUSED:
        raise PermissionError(f"the server answers {response.status_code}")
    if response.status_code != 200:
        raise AudienceError(f"the server answers {response.status_code}: try again later")
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise AudienceError("the server compresses the list although that was not asked for")
    length = response.headers.get("content-length")
    if length is None and "chunked" not in response.headers.get("transfer-encoding", "").lower():
        raise AudienceError(
            "the server does not say where the list ends, so that a broken download would pass for"
            " a short list: have it send Content-Length"
        )
    octets = copied(response.iter_raw(), file)  # as it comes, so that a slow server is noticed
    if length is not None and str(octets) != length.strip():
        raise AudienceError("the download ended too early: try again")


def _trouble(error: Exception) -> str:
    if isinstance(error, httpx.RemoteProtocolError):
        return "the download ended too early, or the server does not speak HTTP: try again"
    if isinstance(error, httpx.TimeoutException):
        return f"the server did not answer for {_TIMEOUT_SECONDS:.0f} seconds: try again later"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "the certificate of its server cannot be verified: give the CA file in the List"
            " Storage block, or correct the URL"
        )
    name = type(error).__name__
    return f"its server cannot be reached ({name}): check the URL, and the worker's network"
