"""Writing a message log once, until it has caught up, or for as long as a process runs."""

from __future__ import annotations

from collections.abc import Callable

from mailsluice.operations.message_log.addresses import Addresses, AddressForm
from mailsluice.operations.message_log.follower import Follower, GoesOn, Looked
from mailsluice.operations.message_log.lines import Output
from mailsluice.operations.message_log.records import Records
from mailsluice.store import Database
from mailsluice.store.message_log import MessageLogs

LOOK_SECONDS = 2.0
"""Seconds between two looks of a process that follows."""
_OPEN_SECONDS = 0.1
_MOST_WAITS = 100

Wait = Callable[[float], bool]
"""Waits for so many seconds. Returns whether to go on."""


def open_log(
    database: Database,
    output: Output,
    *,
    name: str,
    addresses: AddressForm,
    since: float | None = None,
) -> Follower:
    """Continue the message log of this name, or begin it; see `MessageLogs.open`."""
    state = MessageLogs(database).open(name, since)
    return Follower(database, state, output, Records(Addresses(addresses, state.address_key)))


def catch_up(follower: Follower, wait: Wait) -> Looked:
    """Write what is known by now. Waits up to ten seconds for transactions that are open. Blocking.

    The result says whether some are open still: the next call writes their rows.
    """
    looked = follower.look(_going_on(wait))
    for _ in range(_MOST_WAITS):
        if not looked.is_waiting or not wait(_OPEN_SECONDS):
            break
        looked += follower.look(_going_on(wait))
    return looked


def follow(follower: Follower, wait: Wait, told: Callable[[Looked], None]) -> None:
    """Write what becomes known, every LOOK_SECONDS, until `wait` says to stop. Blocking.

    `told` gets the result of each look.
    """
    while True:
        told(follower.look(_going_on(wait)))
        if not wait(LOOK_SECONDS):
            break


def _going_on(wait: Wait) -> GoesOn:
    return lambda: wait(0.0)
