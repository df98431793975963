"""Keep connections of a run ready while others may hand recipients over to them.

A connection that has nothing left ends, unless another one may go down and give its recipients
away. Until then it waits without sessions and without queries. When the last connection with
recipients is done, all others end with it.

Everything here is used on the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from mailsluice.delivery.failover import STARTING, Condition
from mailsluice.delivery.own_fault import is_own_fault


class Handing(Protocol):
    """A sender of one connection, which may give recipients away, or take some over."""

    def condition(self) -> Condition:
        """Whether the connection works, for others that may take over its recipients."""

    def look(self) -> None:
        """Look again whether the connection is done: other connections have changed."""

    def receive(self) -> None:
        """Claim recipients that may have come from another connection."""

    async def give_back(self) -> None:
        """Release the recipients that wait, and claim none until `receive`."""


class Handovers:
    """The connections of one run that may give recipients away, and those that may take them."""

    def __init__(
        self, names: Iterable[str], takers: Collection[str], lenders: Collection[str] = ()
    ) -> None:
        """Begin with connections that may all give recipients away.

        Args:
            names: The connections that the run sends over.
            takers: Those that may take over recipients of one that goes down.
            lenders: Those that may be lent recipients of others, until `lend_to`.
        """
        self._givers = set(names)
        """Connections that may still give recipients away."""
        self._takers = takers
        self._lenders = frozenset(lenders)
        self._senders: dict[str, Handing] = {}
        self._ended: set[str] = set()
        self.changed = asyncio.Event()
        """Set when a connection rests, goes down or has ended."""

    def begin(self, name: str, sender: Handing) -> None:
        """Note that the sending over a connection begins."""
        self._senders[name] = sender

    def end(self, name: str) -> None:
        """Note that the sending over a connection has ended, or has failed to begin."""
        self._ended.add(name)
        if self._condition(name).down is None:
            self.close(name)
        self.changed.set()

    def close(self, name: str | None = None) -> None:
        """Expect no more recipients of a connection; None: of any connection."""
        self._givers -= {name} if name else set(self._givers)
        for sender in self._senders.values():
            sender.look()

    def may_receive(self, name: str) -> bool:
        """Whether a connection may still get recipients of another one."""
        return (name in self._takers or name in self._lenders) and any(
            not now.is_idle or now.down
            for giver, now in self.conditions().items()
            if giver != name and giver in self._givers
        )

    def conditions(self) -> Mapping[str, Condition]:
        """The state of each connection that may give or take recipients."""
        names = self._givers.union(self._senders)
        return {name: self._condition(name) for name in sorted(names)}

    def _condition(self, name: str) -> Condition:
        sender = self._senders.get(name)
        now = sender.condition() if sender else STARTING
        if is_own_fault(now.down):  # perhaps at a recipient, who would take it to other connections
            now = replace(now, is_over=True, down=None)
        return replace(now, is_over=True) if name in self._ended else now

    def leaving(self) -> set[str]:
        """The connections whose sending has ended, and that may still give recipients away."""
        return self._givers & self._ended

    def lend_to(self, names: Iterable[str]) -> None:
        """Expect recipients that are lent over these connections alone."""
        before, self._lenders = self._lenders, frozenset(names)
        for name in before - self._lenders:
            if sender := self._senders.get(name):
                sender.look()

    def receive(self, names: Iterable[str]) -> None:
        """Have these connections look for recipients that they took over."""
        for name in names:
            if sender := self._senders.get(name):
                sender.receive()

    async def give_back(self, name: str) -> None:
        """Have a connection release what it has claimed and not begun to send."""
        if name not in self._ended and (sender := self._senders.get(name)):
            await sender.give_back()

    def troubled(self) -> None:
        """Note that a connection rests or is down."""
        self.changed.set()
