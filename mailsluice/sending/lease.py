"""The right of one run to send a campaign: one at a time, over all machines."""

from __future__ import annotations

import logging
import time

from sqlalchemy.exc import DBAPIError

from mailsluice.errors import CampaignBusyError
from mailsluice.outbox import Campaigns
from mailsluice.outbox.campaigns import LEASE_SECONDS
from mailsluice.sending.renewal import Renewal

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
        self._renewal = Renewal(
            self.confirm,
            taken_at=self._acquire(dead_owner),
            every_seconds=_RENEW_SECONDS,
            name="lease",
        )
        self.held = self._renewal.held
        self.on_lost = self._renewal.on_lost

    def confirm(self) -> None:
        """Make sure that it is ours, for the next LEASE_SECONDS. Raises CampaignBusyError."""
        self._campaigns.renew(self._campaign_id, self._owner)

    def close(self) -> None:
        """Give it back."""
        self._renewal.close()
        if self._renewal.lost:
            return
        try:
            self._campaigns.release(self._campaign_id, self._owner)
        except DBAPIError as error:
            logger.warning("the lease was not given back, it runs out by itself: %s", error.orig)

    def _acquire(self, dead_owner: str | None) -> float:
        """Gives the moment of the monotonic clock from which it holds."""
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
                return asked
