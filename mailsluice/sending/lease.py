"""The right of one run to send a campaign: one at a time, over all machines."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from mailsluice.errors import CampaignBusyError
from mailsluice.outbox import Campaigns
from mailsluice.outbox.campaigns import LEASE_SECONDS

logger = logging.getLogger(__name__)

_RENEW_SECONDS = LEASE_SECONDS / 3
_POLL_SECONDS = 1.0


class Lease:
    """A lease on a campaign, renewed by a thread until it is closed.

    Taking it waits for a dead holder's lease to run out; a holder that renews it lives, and
    CampaignBusyError is raised. `dead_owner` is a holder known to be dead: its lease is taken over
    at once.
    """

    def __init__(
        self, campaigns: Campaigns, campaign_id: int, owner: str, dead_owner: str | None = None
    ) -> None:
        self._campaigns = campaigns
        self._campaign_id = campaign_id
        self._owner = owner
        self._closed = threading.Event()
        self._valid_until = 0.0
        self.lost = False
        """Whether another run has taken it over."""
        self._act: Callable[[], None] = lambda: None
        self._acquire(dead_owner)
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def held(self) -> bool:
        """Whether this run may send now. False as well while it cannot be renewed in time."""
        return time.monotonic() < self._valid_until

    def on_lost(self, act: Callable[[], None]) -> None:
        """Call this, from the lease's thread, when another run has taken it over."""
        self._act = act

    def confirm(self) -> None:
        """Make sure that it is ours, for the next LEASE_SECONDS. Raises CampaignBusyError."""
        self._campaigns.renew(self._campaign_id, self._owner)

    def close(self) -> None:
        """Give it back."""
        self._closed.set()
        self._thread.join()
        if self.lost:
            return
        try:
            self._campaigns.release(self._campaign_id, self._owner)
        except DBAPIError as error:
            logger.warning("the lease was not given back, it runs out by itself: %s", error.orig)

    def _acquire(self, dead_owner: str | None) -> None:
        seen: tuple[str | None, float] | None = None
        while True:
            asked = time.monotonic()
            try:
                self._campaigns.acquire(self._campaign_id, self._owner, dead_owner=dead_owner)
            except CampaignBusyError:
                holder, left = self._campaigns.lease_left(self._campaign_id)
                if seen and (holder != seen[0] or left > seen[1]):
                    raise  # it has been renewed: the holder lives
                if not seen:
                    logger.info("another run holds the campaign: waiting to see whether it lives")
                seen = (holder, left)
                time.sleep(_POLL_SECONDS)
            else:
                self._valid_until = asked + LEASE_SECONDS
                return

    def _renew(self) -> None:
        while not self._closed.wait(_RENEW_SECONDS):
            asked = time.monotonic()
            try:
                self._campaigns.renew(self._campaign_id, self._owner)
            except CampaignBusyError as error:
                logger.error("%s; this run stops sending", error)
                self.lost, self._valid_until = True, 0.0
                self._act()
                return
            except DBAPIError:
                continue  # the database is away: not valid any longer, unless it is back in time
            self._valid_until = asked + LEASE_SECONDS
