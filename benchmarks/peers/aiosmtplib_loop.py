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


async def session(task: dict[str, Any], port: int, raw: bytes, numbers: Iterator[int]) -> int:
    """Send as long as there are numbers left; returns how many messages were not accepted.

    The loop does not try again: a message that is refused or deferred raises in its caller.
    """
    failed = 0
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=port,
        use_tls=task["ca"] is not None,
        start_tls=False,
        cert_bundle=task["ca"],
    )
    async with client:
        for number in numbers:
            if task["parts"]:
                await client.send_message(build(task["parts"]))
            elif task["is_mixed"]:
                failed += not await _accepted(client, f"user{number}@{port}.example.com", raw)
            else:
                await client.sendmail(_SENDER, [_RECIPIENT], raw)
    return failed


async def _accepted(client: aiosmtplib.SMTP, recipient: str, raw: bytes) -> bool:
    try:
        if not client.is_connected:
            await client.connect()
        await client.sendmail(_SENDER, [recipient], raw)
    except aiosmtplib.SMTPException:
        return False
    return True


async def main(task: dict[str, Any], raw: bytes) -> None:
    """Share sessions and messages out to the servers."""
    started, cpu, ports = time.monotonic(), time.process_time(), task["ports"]
    everything = []
    for i, port in enumerate(ports):
        numbers = iter(range((task["messages"] + i) // len(ports)))
        count = (task["sessions"] + i) // len(ports)
        everything += [session(task, port, raw, numbers) for _ in range(count)]
    failed = sum(await asyncio.gather(*everything))
    spent = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps({**spent, "failed": failed}))


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    uvloop.run(main(job, Path(job["file"]).read_bytes()))
