"""Download a list from an object store: Amazon S3 or a compatible one, or Google Cloud Storage.

pyarrow brings the clients, so neither needs a package of its own. Without a login in the storage,
the worker's own is used: environment variables, configuration files, or the machine's role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

from mailsluice.audience.remote.limits import copied
from mailsluice.audience.remote.storage import Storage
from mailsluice.core.errors import AudienceError

if TYPE_CHECKING:
    from pyarrow import NativeFile, fs

_GOOGLE = "storage.googleapis.com"
"""Speaks S3's protocol too, with HMAC keys."""
_PIECE = 1 << 20
_CODE = re.compile(
    r"AWS Error ([A-Z_]{1,60})|Status\(([A-Z_]{1,60})|HTTP (?:response code|status) (\d{3})"
)


def copy_object(url: str, storage: Storage | None, file: BinaryIO) -> None:
    """Write an object to a file.

    Raises AudienceError, without the URL, if the object cannot be had, or changes meanwhile.
    """
    parts = urlsplit(url)
    path = f"{parts.netloc}/{unquote(parts.path).lstrip('/')}"
    try:
        store = _store(parts.scheme, parts.netloc, storage)
        before = _about(store, path)
        with store.open_input_stream(path, compression=None) as stream:
            octets = copied(_pieces(stream), file)
        after = _about(store, path)
    except OSError as error:
        raise AudienceError(_trouble(error, storage)) from None
    if (before.size, before.mtime_ns) != (after.size, after.mtime_ns):
        raise AudienceError("it was replaced while it was read: try again")
    if octets != before.size:
        raise AudienceError("the download ended too early: try again")


def _pieces(stream: NativeFile) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _about(store: fs.FileSystem, path: str) -> fs.FileInfo:
    from pyarrow import fs

    about = store.get_file_info(path)
    if about.type is not fs.FileType.File:
        raise AudienceError("there is no such object in the bucket: correct the URL")
    return about


def _store(scheme: str, bucket: str, storage: Storage | None) -> fs.FileSystem:
    from pyarrow import fs  # has the clients of the object stores

    has_key = storage is not None and storage.username is not None
    if scheme == "gs" and not has_key:
        return fs.GcsFileSystem()
    options: dict[str, Any] = {}
    if scheme == "gs":
        options = {"endpoint_override": _GOOGLE, "region": "auto"}
    elif storage is None or not (storage.region or storage.endpoint):
        options = {"region": fs.resolve_s3_region(bucket)}
    if storage is not None:
        given = {
            "access_key": storage.username,
            "secret_key": storage.password,
            "region": storage.region,
            "endpoint_override": storage.endpoint,
            "tls_ca_file_path": storage.ca_file,
        }
        options |= {name: value for name, value in given.items() if value}
    return fs.S3FileSystem(**options)


def _trouble(error: OSError, storage: Storage | None) -> str:
    """Say what the store has refused; its text may contain the key, so only its code is shown."""
    found = _CODE.search(str(error))
    code = next(filter(None, found.groups()), "") if found else type(error).__name__
    login = f"the storage {storage.name!r}" if storage else "a List Storage block, or the worker"
    return f"the object store does not give it ({code}): check the URL, and the login of {login}"
