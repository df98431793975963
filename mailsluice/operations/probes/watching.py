"""Wait until copies are in probe mailboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.errors import CampaignError, MailboxError
from mailsluice.oauth.tokens import Tokens, TokenSource
from mailsluice.operations.probes.delivered import Delivered
from mailsluice.operations.probes.mailbox import Mark, ProbeMailbox

_FIRST_WAIT, _LONGEST_WAIT, _GROWTH = 1.0, 30.0, 1.5
"""Seconds between looks: the waits grow, so that a quick mailbox is read at once, and a slow one
is not asked again and again."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A mailbox that copies are read back from."""

    name: str
    """The name of its block."""
    account: MailboxAccount


@dataclass(slots=True)
class Watch:
    """The state of one probe mailbox."""

    probe: Probe
    marks: dict[str, Mark]
    tokens: TokenSource
    """The access tokens of the test; a look after a long wait gets a new one."""
    trouble: str = ""
    """Why the last look failed; empty if it did not."""


async def begin(probes: Sequence[Probe], tokens: TokenSource | None = None) -> list[Watch]:
    """Log in to every probe mailbox, and note where new mail begins.

    Raises CampaignError, which names every mailbox that cannot be read: nothing is sent then.
    """
    tokens = tokens or Tokens()
    begun = await asyncio.gather(*(asyncio.to_thread(_begun, probe, tokens) for probe in probes))
    faults = [f"probe {watch.probe.name!r}: {watch.trouble}" for watch in begun if watch.trouble]
    if faults:
        raise CampaignError("; ".join(faults))
    return list(begun)


async def find(
    watches: Sequence[Watch],
    copies: Mapping[str, Sequence[str]],
    *,
    wait_seconds: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> dict[tuple[str, str], Delivered]:
    """Look for copies in each mailbox until all are found or the wait is over.

    Args:
        watches: The mailboxes.
        copies: The copies that each mailbox is expected to get, by the name of its probe: what
            their PROBE_HEADER says.
        wait_seconds: How long to wait; the last look is at its end.
        sleep: Waits for so many seconds.

    Returns what was found, by the name of the probe and the copy.
    """
    stopped = Event()
    try:
        found = await asyncio.gather(
            *(
                _find(watch, {*copies.get(watch.probe.name, ())}, wait_seconds, sleep, stopped)
                for watch in watches
            )
        )
    finally:  # a cancelled run does not wait for the threads' next commands
        stopped.set()
    return {
        (watch.probe.name, copy): delivered
        for watch, in_mailbox in zip(watches, found, strict=True)
        for copy, delivered in in_mailbox.items()
    }


def _begun(probe: Probe, tokens: TokenSource) -> Watch:
    try:
        with ProbeMailbox(probe.account, tokens) as mailbox:
            return Watch(probe, mailbox.marks(), tokens)
    except MailboxError as error:
        return Watch(probe, {}, tokens, str(error))


async def _find(
    watch: Watch,
    copies: set[str],
    seconds: float,
    sleep: Callable[[float], Awaitable[None]],
    stopped: Event,
) -> dict[str, Delivered]:
    found: dict[str, Delivered] = {}
    for wait in _waits(seconds):
        found |= await asyncio.to_thread(_look, watch, copies - {*found}, stopped)
        if copies <= {*found}:
            break
        await sleep(wait)
    return found


def _look(watch: Watch, copies: set[str], stopped: Event) -> dict[str, Delivered]:
    """Look once, over a link of its own: mail servers end links that are quiet for long."""
    if not copies or stopped.is_set():
        return {}
    try:
        with ProbeMailbox(watch.probe.account, watch.tokens) as mailbox:
            found = mailbox.find(copies, watch.marks)
    except MailboxError as error:
        watch.trouble = str(error)
        return {}
    watch.trouble = ""
    return found


def _waits(seconds: float) -> Iterator[float]:
    """Yield the waits between looks, together `seconds`, and 0 after the last look."""
    left, wait = seconds, _FIRST_WAIT
    while left > 0:
        yield min(wait, left)
        left, wait = left - wait, min(wait * _GROWTH, _LONGEST_WAIT)
    yield 0.0
