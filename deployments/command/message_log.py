"""Commands that write the message log: one JSON line for each outcome and event."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.command.output import WAITING, AsJson, Flag, show
from mailsluice.operations.message_log.addresses import AddressForm

if TYPE_CHECKING:
    from mailsluice.operations.message_log.follower import Looked

app = App(name="message-log", help="One JSON line for each outcome of a message, and each event.")


@app.command
def write(
    *,
    file: Path,
    name: str = "default",
    follow: Flag = False,
    addresses: AddressForm = AddressForm.PLAIN,
    since: datetime | None = None,
    max_megabytes: int = 256,
    period_hours: int = 24,
    keep_files: int = 30,
    compress: Flag = False,
    json: AsJson = False,
) -> int:
    """Write what is new since the last call, and end; with --follow, go on until Ctrl-C.

    Args:
        file: The file (NDJSON). Old files beside it have a time in their names.
        name: The log's name: each output needs a log of its own, which remembers its place.
        follow: Write what becomes known, every two seconds.
        addresses: How addresses are shown: plain, hashed (the domain stays), hashed-domain, none.
        since: Where a new log begins, UTC if no offset is given; otherwise it begins now.
        max_megabytes: A larger file is rotated.
        period_hours: A file has lines of one period of so many hours, in UTC.
        keep_files: Old files that are kept; 0: all.
        compress: Compress old files (gzip).
        json: Print JSON instead of text.
    """
    from mailsluice.operations.message_log import FileOutput, Rotation, writing
    from mailsluice.store import Database

    rotation = Rotation(max_megabytes << 20, period_hours * 3_600, keep_files, compress)
    with Database() as database, closing(FileOutput(file, rotation)) as output:
        log = writing.open_log(
            database, output, name=name, addresses=addresses, since=_moment(since)
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
