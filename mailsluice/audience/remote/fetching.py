"""Fetch a list by its URL: download it, unpack it, and tell its format.

The whole list is in a file without a name before its first row is read. So a download that fails
leaves nothing behind, and a list that is cut short is an error, not a shorter list.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

from mailsluice.audience.remote.limits import copied, pieces_of
from mailsluice.audience.remote.objects import copy_object
from mailsluice.audience.remote.storage import Storage
from mailsluice.audience.remote.web import download
from mailsluice.campaign import RecipientSource
from mailsluice.campaign.list_url import OBJECT_STORES, is_sheet
from mailsluice.core.errors import AudienceError

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_PAGE = (b"<!doctype html", b"<html", b"<head")
_SHARE = (
    "share the sheet with anyone who has the link, or publish it to the web as CSV and give that"
    " URL"
)


@dataclass(frozen=True, slots=True)
class RemoteList:
    """A list that was downloaded."""

    file: BinaryIO
    is_parquet: bool


@contextmanager
def fetched(source: RecipientSource, storages: Mapping[str, Storage]) -> Iterator[RemoteList]:
    """Download the list of a source; its file exists as long as the `with` block.

    Raises AudienceError, which names the list, if the list cannot be had.
    """
    with ExitStack() as stack:
        try:
            file = _unpacked(stack, _downloaded(stack, source, storages))
            beginning = file.read(1_000)
            file.seek(0)
            _refuse_page(source, beginning)
        except AudienceError as error:
            raise AudienceError(f"the list {source.label} cannot be read: {error}") from None
        except OSError as error:  # of the temporary file
            raise AudienceError(
                f"the list {source.label} cannot be kept on disk ({error.strerror}): make room in"
                " the folder for temporary files (TMPDIR)"
            ) from None
        yield RemoteList(file, source.is_parquet or beginning.startswith(_PARQUET))


def _downloaded(
    stack: ExitStack, source: RecipientSource, storages: Mapping[str, Storage]
) -> BinaryIO:
    url, storage = source.url or "", _storage_of(source, storages)
    file = _file(stack)
    if url.startswith(tuple(f"{scheme}:" for scheme in OBJECT_STORES)):
        copy_object(url, storage, file)
    else:
        try:
            download(url, storage, file)
        except PermissionError as error:
            advice = _SHARE if is_sheet(url) else _log_in(storage)
            raise AudienceError(f"{error}: {advice}") from None
    file.seek(0)
    return file


def _file(stack: ExitStack) -> BinaryIO:
    """Create a file without a name, which is gone at the latest when this process is."""
    return cast("BinaryIO", stack.enter_context(TemporaryFile()))


def _storage_of(source: RecipientSource, storages: Mapping[str, Storage]) -> Storage | None:
    if source.storage is None:
        return None
    if source.storage not in storages:
        given = ", ".join(storages) or "none"
        raise AudienceError(f"there is no storage {source.storage!r} (given: {given}): pass it")
    storage = storages[source.storage]
    if not storage.covers(source.url or ""):
        raise AudienceError(
            f"the storage {storage.name!r} is for URLs in another folder, and its login is"
            " sent nowhere else: correct the URL, or leave the storage out"
        )
    return storage


def _log_in(storage: Storage | None) -> str:
    if storage is None:
        return "correct the URL, or name the List Storage block with its login as storage"
    return f"correct the URL, or the login of the storage {storage.name!r}"


def _unpacked(stack: ExitStack, file: BinaryIO) -> BinaryIO:
    """Return the file, or what it holds if it is compressed by gzip (RFC 1952)."""
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    if not is_packed:
        return file
    unpacked = _file(stack)
    try:
        with gzip.GzipFile(fileobj=file) as content:
            copied(pieces_of(cast("BinaryIO", content)), unpacked)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise AudienceError(
            "its compression is damaged, or its end is missing: upload the file again"
        ) from None
    unpacked.seek(0)
    return unpacked


def _refuse_page(source: RecipientSource, beginning: bytes) -> None:
    """Refuse a web page, with which servers answer when nobody is logged in."""
    if not beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        return
    advice = "give the URL of the file itself"
    if source.storage is None:
        advice += "; if it asks for a login, name a storage"
    raise AudienceError(
        "there is a web page and not a list, perhaps one that asks for a login:"
        f" {_SHARE if is_sheet(source.url or '') else advice}"
    )
