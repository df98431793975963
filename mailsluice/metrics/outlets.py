"""Send a machine's metrics to where nobody asks for them: a Pushgateway, or a text file.

MAILSLUICE_METRICS_PUSH_URL is the address of a Pushgateway, perhaps with a login:
https://user:password@gateway.example.com. MAILSLUICE_METRICS_FILE is a file for the textfile
collector of node_exporter, whose name ends in .prom. Each run then writes the sum of its machine.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.steady import steady
from mailsluice.metrics.numbers import Numbers

logger = logging.getLogger(__name__)

PUSH_URL, TEXT_FILE = "MAILSLUICE_METRICS_PUSH_URL", "MAILSLUICE_METRICS_FILE"
PUSH_EVERY_SECONDS = 15.0
PUSH_TIMEOUT_SECONDS = 3.0
_JOB = "mailsluice"
_READABLE = 0o644
"""node_exporter is another user; metrics hold no addresses and no secrets."""


class MetricsSettingError(MailsluiceError):
    """A setting of the metrics cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Pushgateway, by its URL without the login."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL. Raises MetricsSettingError, whose message does not show the URL."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
            raise MetricsSettingError(
                f"{PUSH_URL} is not the address of a Pushgateway: write it as"
                " https://gateway.example.com:9091, with user:password@ before the name if it asks"
                " for a login"
            )
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
        login = [unquote(part) if part else None for part in (parts.username, parts.password)]
        return cls(urlunsplit((parts.scheme, place, parts.path, "", "")), *login)

    def push(self, numbers: Numbers) -> None:
        """Replace what the gateway has of this machine. Raises OSError."""
        from prometheus_client import push_to_gateway
        from prometheus_client.exposition import basic_auth_handler, default_handler

        from mailsluice.metrics.exposition import Exposition

        handler = default_handler
        if self.username is not None:
            handler = partial(
                basic_auth_handler, username=self.username, password=self.password or ""
            )
        push_to_gateway(
            self.url,
            _JOB,
            Exposition(numbers),
            {"instance": socket.gethostname()},
            PUSH_TIMEOUT_SECONDS,
            handler,
        )


class Outlets:
    """The places that the settings name; none by default."""

    def __init__(self, gateway: Gateway | None = None, file: Path | None = None) -> None:
        self._gateway = gateway
        self._file = file
        self._pushed_at = -math.inf
        self._pushing: threading.Thread | None = None
        self._failing: set[str] = set()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; one that cannot be used is logged, and left out."""
        gateway = file = None
        try:
            if url := environment.get(PUSH_URL):
                gateway = Gateway.parse(url)
        except MetricsSettingError as error:
            logger.warning("metrics are not pushed: %s", error)
        try:
            if name := environment.get(TEXT_FILE):
                file = text_file(name)
        except MetricsSettingError as error:
            logger.warning("metrics are not written to a file: %s", error)
        return cls(gateway, file)

    def offer(self, read: Callable[[], Numbers], *, is_last: bool = False) -> None:
        """Send what `read` returns to where it is due; failures are logged when they begin.

        A push takes a few seconds at most, and has a thread of its own, which nobody waits for when
        the gateway's name cannot be looked up.
        """
        file, gateway = self._file, self._gateway
        if file:
            self._try(str(file), lambda: write_text(file, read()))
        if gateway and (is_last or steady() - self._pushed_at >= PUSH_EVERY_SECONDS):
            self._pushed_at = steady()
            if self._pushing and is_last:
                self._pushing.join(PUSH_TIMEOUT_SECONDS)
            if self._pushing and self._pushing.is_alive():
                return
            self._pushing = threading.Thread(
                target=self._try,
                args=(gateway.url, lambda: gateway.push(read())),
                name="metrics push",
                daemon=True,
            )
            self._pushing.start()
            if is_last:
                self._pushing.join(PUSH_TIMEOUT_SECONDS)

    def _try(self, place: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 whatever it is, the run goes on
            if place not in self._failing:
                logger.warning("metrics cannot be sent to %s: %s", place, error)
            self._failing.add(place)
        else:
            self._failing.discard(place)


def text_file(name: str) -> Path:
    """A path for node_exporter, which reads files that end in .prom alone.

    Raises MetricsSettingError.
    """
    path = Path(name).expanduser()
    if path.suffix != ".prom" or not path.is_absolute() or not path.parent.is_dir():
        raise MetricsSettingError(
            f"{name} is not a file for metrics: give the whole path of a file in an existing"
            " folder, with a name that ends in .prom"
        )
    return path


def write_text(path: Path, numbers: Numbers) -> None:
    """Replace a file by these metrics, in Prometheus's text format, for every user to read."""
    from mailsluice.metrics.exposition import exposed
    from mailsluice.metrics.folder import replace_file

    replace_file(path, exposed(numbers)[0], _READABLE)
