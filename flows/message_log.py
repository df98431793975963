"""The flow that writes the message log."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from blocks.loading import load_secret
from flows.support.operation import operation, state_database
from mailsluice.operations.message_log.addresses import AddressForm
from mailsluice.operations.message_log.file_output import Rotation
from mailsluice.operations.message_log.outputs import open_output
from tasks.message_log import write_lines

_NEXT_RUN = "The next run continues"
_MEGABYTE = 1 << 20


@operation("message-log", run_name="message log", then=_NEXT_RUN)
async def message_log(
    file: Annotated[str, Field(max_length=4_000)] = "",
    redis_stream: Annotated[str, Field(max_length=200)] = "",
    redis_secret: Annotated[str, Field(max_length=200)] = "",
    name: Annotated[str, Field(max_length=200)] = "",
    addresses: AddressForm = AddressForm.PLAIN,
    max_megabytes: Annotated[int, Field(ge=1, le=100_000)] = 256,
    keep_files: Annotated[int, Field(ge=0, le=100_000)] = 30,
    compress: bool = False,
    max_entries: Annotated[int, Field(ge=0)] = 0,
) -> State[Any]:
    """Write one JSON line for each outcome of a message and each event since the last run.

    The log begins with the first run, and has nothing from before. Run this on a schedule, every
    few minutes. `mailsluice message-log write --follow` writes the same lines as they happen.
    Returns `Looked`.

    Args:
        file: The file on the worker's machine (NDJSON). Rotated files have a time in their names.
        redis_stream: Instead of a file, the key of a stream in Redis.
        redis_secret: The name of a Secret block with the address of the Redis server, as
            rediss://user:password@host:6379/0.
        name: The log's name, by which it continues where it ended. Left empty: the file or the
            stream.
        addresses: How addresses are shown: plain, hashed (the domain stays), hashed-domain, none.
        max_megabytes: A larger file is rotated; a file is rotated every day in any case.
        keep_files: How many rotated files are kept; 0 for all of them.
        compress: Compress rotated files with gzip.
        max_entries: About how many entries a stream keeps; 0 for all of them.
    """
    rotation = Rotation(max_megabytes * _MEGABYTE, keep=keep_files, compress=compress)
    url = await load_secret(redis_secret) if redis_stream.strip() else ""
    output, default_name = await asyncio.to_thread(
        open_output, file, rotation, redis_stream, max_entries, lambda: url
    )
    with closing(output):
        async with state_database() as database:
            looked = await write_lines(database, output, name or default_name, addresses)
    final = Failed if looked.archived else Completed
    return final(message=looked.summary(), data=looked)
