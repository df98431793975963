"""The flow that writes the message log."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.support.operation import operation, state_database
from mailsluice.core.errors import MailsluiceError
from mailsluice.operations.message_log.addresses import AddressForm
from mailsluice.operations.message_log.file_output import FileOutput, Rotation
from tasks.message_log import write_lines

_NEXT_RUN = "The next run continues"
_MEGABYTE = 1 << 20

Name = Annotated[str, Field(min_length=1, max_length=200)]


@operation("message-log", run_name="message log", then=_NEXT_RUN)
async def message_log(
    file: Annotated[str, Field(max_length=4_000)] = "",
    name: Name = "default",
    addresses: AddressForm = AddressForm.PLAIN,
    max_megabytes: Annotated[int, Field(ge=1, le=100_000)] = 256,
    keep_files: Annotated[int, Field(ge=0, le=100_000)] = 30,
    compress: bool = False,
) -> State[Any]:
    """Write one JSON line for each outcome of a message and each event since the last run.

    The first run begins the log: what happened before is not in it. Run it on a schedule, every few
    minutes. `mailsluice message-log write --follow` writes the same as it happens. Returns
    `Looked`.

    Args:
        file: The file on the worker's machine (NDJSON). Old files beside it have a time in their
            names.
        name: The log's name: each output needs a log of its own, which remembers its place.
        addresses: How addresses are shown: plain, hashed (the domain stays), hashed-domain, none.
        max_megabytes: A larger file is rotated; a file is rotated every day in any case.
        keep_files: Old files that are kept; 0 for all of them.
        compress: Compress old files with gzip.
    """
    if not file.strip():
        raise MailsluiceError("the message log needs a file: give `file` a path on the worker")
    rotation = Rotation(max_megabytes * _MEGABYTE, keep=keep_files, compress=compress)
    output = await asyncio.to_thread(FileOutput, Path(file.strip()), rotation)
    with closing(output):
        async with state_database() as database:
            looked = await write_lines(database, output, name, addresses)
    final = Failed if looked.archived else Completed
    return final(message=looked.summary(), data=looked)
