"""The right of one run to send a campaign: one run at a time, over all machines.

The lease is in `campaigns` and expires after 45 seconds. Each claim renews it in its own
transaction, so a machine that was paused claims nothing after another run has taken over. Where the
clocks of the database and the machine disagree, a lease has expired only when this machine has seen
it unchanged for 45 seconds by a clock that nobody can set (`silence.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from mailsluice.core.errors import CampaignBusyError
from mailsluice.core.steady import steady
from mailsluice.delivery.renewal import Renewal
from mailsluice.delivery.silence import Silence
from mailsluice.store import Transaction
from mailsluice.store.leases import AGREE_SECONDS, LEASE_SECONDS, Leases
from mailsluice.store.trouble import DatabaseError, told

logger = logging.getLogger(__name__)

_RENEW_SECONDS = LEASE_SECONDS / 3
_POLL_SECONDS = 1.0


class Lease:
    """A lease on a campaign, renewed by a thread until it is closed.

    Taking it waits for a dead holder's lease to run out; a holder that renews it lives, and
    CampaignBusyError is raised. The database's clock tells whether the lease has run out, if it
    agrees with this machine's; else the holder has to be silent for as long as a lease holds.
    """

    def __init__(
        self,
        leases: Leases,
        campaign_id: int,
        owner: str,
        lives: Callable[[str], bool | None] = lambda _: None,
    ) -> None:
        """`lives` tells whether the process of an owner does, where that can be told.

        The lease of a dead one is taken over at once; a living one may only be late, whatever the
        clock says.
        """
        self._leases = leases
        self._campaign_id = campaign_id
        self._owner = owner
        self._renewal = Renewal(
            self.confirm,
            taken_at=self._acquire(lives),
            every_seconds=_RENEW_SECONDS,
            name="lease",
        )
        self.held = self._renewal.held
        self.on_lost = self._renewal.on_lost

    def confirm(self) -> None:
        """Renew the lease for LEASE_SECONDS. Raises CampaignBusyError where another run has it."""
        self._leases.renew(self._campaign_id, self._owner)

    def claiming(self, transaction: Transaction) -> bool:
        """Whether this run may claim in this transaction: until its end nobody takes it over.

        A machine that was asleep, or paused, does not know that it was.
        """
        is_ours = self._leases.keep(transaction, self._campaign_id, self._owner)
        if not is_ours:
            self._renewal.lose("another run has taken the campaign over")
        return is_ours

    def close(self) -> None:
        """Give the lease back."""
        self._renewal.close()
        if self._renewal.lost:
            return
        try:
            self._leases.release(self._campaign_id, self._owner)
        except DatabaseError as error:
            logger.warning(
                "the lease could not be given back; it runs out by itself: %s", told(error)
            )

    def _acquire(self, lives: Callable[[str], bool | None]) -> float:
        """Acquire the lease; gives the moment of the steady clock from which it holds."""
        silence, waits = Silence(), False
        while True:
            asked, lease = steady(), self._leases.read(self._campaign_id)
            differ = abs(lease.now - time.time())
            silent = silence.seconds(lease.owner, lease.until, asked)
            is_alive = lives(lease.owner) if lease.owner else None
            is_dead = is_alive is False or (silent is not None and silent > LEASE_SECONDS)
            try:
                self._leases.acquire(
                    self._campaign_id,
                    self._owner,
                    dead_owner=lease.owner if is_dead else None,
                    when_run_out=differ < AGREE_SECONDS and not is_alive,
                )
            except CampaignBusyError:
                if waits and silent is None:
                    raise  # it has been renewed: the holder lives
                if not waits:
                    logger.info(
                        "another run holds the campaign: waiting to see whether it is still alive"
                    )
                if not waits and differ >= AGREE_SECONDS:
                    logger.warning(
                        "the state database's clock is %.0f s off this machine's: waiting for the"
                        " lease, even if it seems to have run out. Let NTP set the clocks",
                        differ,
                    )
                waits = True
                time.sleep(_POLL_SECONDS)
            else:
                return asked
