"""A message log in a Redis stream: one entry a record, with `record_id`, `type` and `record`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.masking import without_secrets
from mailsluice.operations.message_log.lines import Line

if TYPE_CHECKING:
    from redis import Redis

_CHUNK_LINES = 500
_TIMEOUT_SECONDS = 10
_SCHEMES = ("redis", "rediss", "unix")


class StreamOutput:
    """Appends records to a stream (XADD).

    Entries are as safe as Redis keeps them: with `appendfsync always`, on its disk.

    Args:
        url: redis://, rediss:// (TLS) or unix://, with the password, if any.
        stream: The key of the stream.
        most: About how many entries the stream keeps (MAXLEN ~); 0: all of them.

    Raises MailsluiceError if the URL cannot be used, or the package `redis` is missing.
    """

    def __init__(self, url: str, stream: str, most: int) -> None:
        self._stream = stream
        self._most = most or None
        self._place, self._secrets = _checked(url)
        self._client = _client(url)

    def write(self, lines: Sequence[Line]) -> None:
        """Append records. Raises MailsluiceError if Redis does not take them all."""
        from redis.exceptions import RedisError

        try:
            for start in range(0, len(lines), _CHUNK_LINES):
                self._append(lines[start : start + _CHUNK_LINES])
        except RedisError as error:
            reason = without_secrets(str(error), self._secrets) or type(error).__name__
            raise MailsluiceError(
                f"the stream {self._stream!r} of the Redis server {self._place} cannot be written:"
                f" {reason}. Check the server and its address"
            ) from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _append(self, lines: Sequence[Line]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for line in lines:
                fields = {"record_id": line.record_id, "type": line.type, "record": line.text}
                pipeline.xadd(self._stream, fields, maxlen=self._most, approximate=True)
            pipeline.execute()


def _checked(url: str) -> tuple[str, list[str]]:
    """The server's address as messages show it, and the secrets in the URL."""
    try:
        parts = urlsplit(url)
        place = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
    except ValueError:
        parts, place = urlsplit(""), ""
    if parts.scheme not in _SCHEMES or not place:
        raise MailsluiceError(
            "the address of the Redis server is not a URL of Redis. Write it as"
            " rediss://user:password@host:6379/0; redis:// is without TLS"
        )
    options = parse_qs(parts.query)
    if any(name.startswith("ssl_") and name != "ssl_ca_certs" for name in options):
        raise MailsluiceError(
            f"the address of the Redis server {place} changes how its certificate is checked: of"
            " the options ssl_..., only ssl_ca_certs is allowed"
        )
    secrets = [parts.password, *options.get("password", [])]
    return place, [secret for secret in secrets if secret]


def _client(url: str) -> Redis:
    try:
        import redis
    except ImportError:
        raise MailsluiceError(
            "a message log in Redis needs the package redis: install Mailsluice with its extra"
            " 'redis' where this runs"
        ) from None
    with suppress(ValueError):
        return redis.Redis.from_url(
            url, socket_timeout=2 * _TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
        )
    raise MailsluiceError("the address of the Redis server has an option that Redis does not know")
