"""A thread that renews a lease while this process lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mailsluice.core.errors import CampaignBusyError, SenderLostError
from mailsluice.core.steady import steady
from mailsluice.store.leases import LEASE_SECONDS
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)


class Renewal:
    """Renews a lease of LEASE_SECONDS that was acquired at a moment of the steady clock.

    `renew` raises CampaignBusyError or SenderLostError where another process has taken the lease.
    """

    def __init__(
        self, renew: Callable[[], None], *, taken_at: float, every_seconds: float, name: str
    ) -> None:
        self._renew = renew
        self._every_seconds = every_seconds
        self._valid_until = taken_at + LEASE_SECONDS
        self._closed = threading.Event()
        self._on_lost: Callable[[], None] = lambda: None
        self.lost = False
        """Whether another process has taken the lease."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def held(self) -> bool:
        """Whether this process may send now; False also when the lease was not renewed in time."""
        return steady() < self._valid_until

    def on_lost(self, act: Callable[[], None]) -> None:
        """Have `act` called, from the renewing thread, when another process takes the lease."""
        self._on_lost = act

    def close(self) -> None:
        """Renew no more."""
        self._closed.set()
        self._thread.join()

    def lose(self, reason: str) -> None:
        """Stop this process's sending: another process has taken the lease. Thread-safe."""
        if not self.lost:
            logger.error("%s; this run stops sending", reason)
            self.lost, self._valid_until = True, 0.0
            self._on_lost()

    def _work(self) -> None:
        while not self._closed.wait(self._every_seconds):
            asked = steady()
            try:
                self._renew()
            except (CampaignBusyError, SenderLostError) as error:
                self.lose(str(error))
                return
            except DatabaseError:
                continue  # the database does not answer; the lease may expire meanwhile
            if not self.lost:
                self._valid_until = asked + LEASE_SECONDS
