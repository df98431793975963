"""Commands that write the message log: one JSON line for each outcome and event."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from deployments.command.output import WAITING, AsJson, Flag, show

if TYPE_CHECKING:
    from mailsluice.operations.message_log.follower import Looked

_REDIS = "MAILSLUICE_MESSAGE_LOG_REDIS"

app = App(name="message-log", help="One JSON line for each outcome of a message, and each event.")


@app.command
def write(
    *,
    file: Path | None = None,
    redis_stream: str = "",
    name: str = "",
    follow: Flag = False,
    addresses: Literal["plain", "hashed", "hashed-domain", "none"] = "plain",
    since: datetime | None = None,
    max_megabytes: int = 256,
    period_hours: int = 24,
    keep_files: int = 30,
    compress: Flag = False,
    max_entries: int = 0,
    json: AsJson = False,
) -> int:
    """Write the lines since the last call, and end; with --follow, go on until Ctrl-C.

    Args:
        file: The file (NDJSON). Rotated files have a time in their names.
        redis_stream: Instead of a file, the key of a stream in Redis. MAILSLUICE_MESSAGE_LOG_REDIS
            has the server's address, as rediss://user:password@host:6379/0.
        name: The log's name, by which it continues where it ended. Default: the file or the stream.
        follow: Write new lines every two seconds.
        addresses: How addresses are shown: plain, hashed (the domain stays), hashed-domain, none.
        since: When a new log begins, UTC if no offset is given. Default: now.
        max_megabytes: A larger file is rotated.
        period_hours: A file has lines of one period of so many hours, in UTC.
        keep_files: Old files that are kept; 0: all.
        compress: Compress old files (gzip).
        max_entries: About how many entries a stream keeps; 0: all.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.message_log import Rotation, open_output, writing
    from mailsluice.operations.message_log.addresses import AddressForm
    from mailsluice.store import Database

    rotation = Rotation(max_megabytes << 20, period_hours * 3_600, keep_files, compress)
    output, default_name = open_output(
        str(file or ""), rotation, redis_stream, max_entries, _redis_url
    )
    with closing(output), Database() as database:
        log = writing.open_log(
            database,
            output,
            name=name or default_name,
            addresses=AddressForm(addresses),
            since=_moment(since),
        )
        with _stopped() as stopped:

            def wait(seconds: float) -> bool:
                return not stopped.wait(seconds)

            if not follow:
                looked = writing.catch_up(log, wait)
                show(looked.summary(), looked, as_json=json)
                return WAITING if looked.is_waiting else 0
            written: Counter[str] = Counter()

            def told(looked: Looked) -> None:
                written.update(looked.written)
                for campaign in looked.archived:
                    print(f"mailsluice: {looked.gap(campaign)}", file=sys.stderr)

            writing.follow(log, wait, told)
            print(f"{sum(written.values()):,} lines written")
    return 0


def _redis_url() -> str:
    from mailsluice.core.errors import MailsluiceError

    if url := os.environ.get(_REDIS):
        return url
    raise MailsluiceError(
        f"the address of the Redis server is missing: set {_REDIS}, as"
        " rediss://user:password@host:6379/0"
    )


def _moment(since: datetime | None) -> float | None:
    if since is None:
        return None
    return (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()


@contextmanager
def _stopped() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that what is being written is finished."""
    event = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: event.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
