"""The URLs of lists on the web and in object stores. Pure."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlencode, urlsplit

OBJECT_STORES = ("s3", "gs")
_SCHEMES = ("https", *OBJECT_STORES)
_VISIBLE = re.compile(r"[!-~]+")
_SECRET_PARTS = (
    *("signature", "token", "secret", "passw", "apikey", "api_key", "api-key", "accesskey"),
    *("access_key", "access-key", "credential", "x-amz-", "x-goog-", "x-oss-", "jwt"),
)
_SECRET_NAMES = frozenset(("sig", "sign", "key", "pwd", "code", "auth", "authorization", "hmac"))
_SHEET = re.compile(
    r"/spreadsheets/(?:u/\d{1,3}/)?d/([\w-]{10,200})(?:/(?:edit|view|copy)?)?", re.ASCII
)
_PUBLISHED_SHEET = re.compile(r"/spreadsheets/(?:u/\d{1,3}/)?d/e/([\w-]{10,300})/pubhtml", re.ASCII)
_SHEETS_HOST = "docs.google.com"


def checked_url(url: str) -> str:
    """Return the URL of a list. Raises ValueError, whose message does not contain the URL."""
    parts = _split(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(
            "a list's URL begins with https://, s3:// or gs://: correct it, or give a file of"
            " the worker as path"
        )
    if "@" in parts.netloc:
        raise ValueError(
            "the URL contains a user name, and URLs are shown to everybody who sees the"
            " run: leave it out, and name a List Storage block with the login as storage"
        )
    if not parts.hostname or (parts.scheme in OBJECT_STORES and not parts.path.strip("/")):
        raise ValueError(
            "the URL names no file: write https://host/file.csv, s3://bucket/file.csv or"
            " gs://bucket/file.csv"
        )
    if parts.scheme in OBJECT_STORES and (parts.query or parts.fragment):
        raise ValueError("the URL of an object has no ? and no #: write s3://bucket/file.csv")
    if secrets := [name for name, _ in parse_qsl(parts.query, True) if _is_secret(name)]:
        raise ValueError(
            f"the URL contains a secret ({secrets[0][:40]}), and URLs are shown to"
            " everybody who sees the run: keep what follows the ? in the query of a List Storage"
            " block, and name the block as storage"
        )
    return url


def _split(url: str) -> SplitResult:
    if not _VISIBLE.fullmatch(url):
        raise ValueError(
            "the URL contains a space or another character that URLs do not have: write it"
            " as %20, as browsers copy it"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("this is not a URL: correct it") from None
    return parts


def _is_secret(name: str) -> bool:
    lower = name.casefold()
    return lower in _SECRET_NAMES or any(part in lower for part in _SECRET_PARTS)


def shown_url(url: str) -> str:
    """Return a URL for messages and pages, without what follows a ? or a #."""
    bare, *rest = re.split("[?#]", url, maxsplit=1)
    return f"{bare}?…" if rest else bare


def file_name(url: str) -> str:
    """Return the name of the file that a URL ends with; empty if there is none."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def is_sheet(url: str) -> bool:
    """Whether a URL is that of a document at Google."""
    return urlsplit(url).hostname == _SHEETS_HOST


def download_url(url: str) -> str:
    """Return the URL to download a list from; for a Google sheet, that of its CSV export.

    The tab of the sheet (`gid`) is kept.
    """
    parts = urlsplit(url)
    if parts.hostname != _SHEETS_HOST:
        return url
    given = {**parse_qs(parts.query), **parse_qs(parts.fragment)}
    tab = {"gid": given["gid"][0]} if given.get("gid", [""])[0].isdigit() else {}
    if sheet := _PUBLISHED_SHEET.fullmatch(parts.path):
        query = urlencode({"output": "csv", "single": "true", **tab} if tab else {"output": "csv"})
        return f"https://{_SHEETS_HOST}/spreadsheets/d/e/{sheet[1]}/pub?{query}"
    if sheet := _SHEET.fullmatch(parts.path):
        query = urlencode({"format": "csv", **tab})
        return f"https://{_SHEETS_HOST}/spreadsheets/d/{sheet[1]}/export?{query}"
    return url


def lies_below(url: str, address: str) -> bool:
    """Whether a URL equals `address` or is in that folder, so that its login may be sent.

    Host and scheme are compared without case. A path that goes up (`..`) lies below nothing.
    """
    one, other = urlsplit(url), urlsplit(address)
    if (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower()):
        return False
    path, folder = one.path or "/", other.path or "/"
    if ".." in unquote(unquote(path)).replace("\\", "/").split("/"):
        return False
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")
