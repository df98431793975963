"""Count the events of providers as they are recorded."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mailsluice.core.steady import steady
from mailsluice.events.event import DeliveryState
from mailsluice.metrics import catalogue as names
from mailsluice.metrics.keeper import TICK_SECONDS, Keeper
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.run_numbers import provider_label
from mailsluice.store.deliveries import Received


class EventMeter:
    """The events that one process has recorded, for `Deliveries`. Thread-safe.

    Events of a file that is imported are left out: they say how things were at another time.
    """

    def __init__(self, keeper: Keeper | None = None, now: Callable[[], float] = time.time) -> None:
        """`now` is the wall clock, in seconds since the epoch."""
        self._keeper = keeper or Keeper()
        self._now = now
        self._lock = threading.Lock()
        self._numbers = Numbers()
        self._is_new = False
        self._written_at = -math.inf

    def see(self, connection: str, new: Sequence[Received]) -> None:
        """Count events about messages of a connection that were not known before."""
        now = self._now()
        with self._lock:
            for item in new:
                self._count(connection, item, now)
            self._is_new = self._is_new or bool(new)
        if steady() - self._written_at >= TICK_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is new, if anything is. Blocking."""
        with self._lock:
            self._written_at = steady()
            if self._is_new:
                self._keeper.write(self._numbers)
                self._is_new = False

    def end(self) -> None:
        """Leave what was counted to the machine's totals. Blocking."""
        with self._lock:
            if self._is_new:
                self._keeper.write(self._numbers)
            self._keeper.end(self._numbers)

    def _count(self, connection: str, item: Received, now: float) -> None:
        event, to, numbers = item.event, item.to, self._numbers
        if to is None:
            numbers.add(names.UNMATCHED, connection)
            return
        numbers.add(names.EVENTS, connection, event.state.value)
        numbers.observe(names.EVENT_LAG, connection, value=max(0.0, now - event.at))
        if event.state is DeliveryState.DELIVERED and to.sent_at is not None:
            took = max(0.0, event.at - to.sent_at)
            provider = provider_label(to.provider)
            numbers.observe(names.DELIVERY, connection, provider, value=took)


@contextmanager
def events_metered() -> Iterator[EventMeter]:
    """A meter for the `with` block, after which its counts are in the machine's totals."""
    meter = EventMeter()
    try:
        yield meter
    finally:
        meter.end()
