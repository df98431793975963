"""A plain loop around aiosmtplib: what one would write first. One session a task, on uvloop."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import uvloop

_SENDER, _RECIPIENT = "news@example.com", "user@example.com"


def build(parts: dict[str, str]) -> EmailMessage:
    """What `email` makes of a subject, a text and an HTML body."""
    message = EmailMessage()
    message["From"], message["To"] = f"News <{_SENDER}>", _RECIPIENT
    message["Subject"] = parts["subject"]
    message.set_content(parts["text"])
    message.add_alternative(parts["html"], subtype="html")
    return message


async def session(task: dict[str, Any], port: int, raw: bytes, numbers: Iterator[int]) -> None:
    """Send as long as there are numbers left."""
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=port,
        use_tls=task["ca"] is not None,
        start_tls=False,
        cert_bundle=task["ca"],
    )
    async with client:
        for _ in numbers:
            if task["parts"]:
                await client.send_message(build(task["parts"]))
            else:
                await client.sendmail(_SENDER, [_RECIPIENT], raw)


async def main(task: dict[str, Any], raw: bytes) -> None:
    """Share sessions and messages out to the servers."""
    started, ports = time.monotonic(), task["ports"]
    everything = []
    for i, port in enumerate(ports):
        numbers = iter(range((task["messages"] + i) // len(ports)))
        count = (task["sessions"] + i) // len(ports)
        everything += [session(task, port, raw, numbers) for _ in range(count)]
    await asyncio.gather(*everything)
    print(json.dumps({"seconds": time.monotonic() - started}))


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    uvloop.run(main(job, Path(job["file"]).read_bytes()))
