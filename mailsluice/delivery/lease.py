"""The right of one run to send a campaign: one run at a time, over all machines.

The lease is in `campaigns` and expires after 45 seconds. Each claim renews it in its own
transaction, so a machine that was paused claims nothing after another run has taken over. Where the
clocks of the database and the machine disagree, a lease has expired only when this machine has seen
it unchanged for 45 seconds by the steady clock, which cannot be set (`silence.py`).
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

    The constructor waits until a dead holder's lease expires, and raises CampaignBusyError when the
    holder renews it. The database's clock tells whether the lease has expired, if it agrees with
    this machine's; else the lease must have been unchanged for as long as it holds.
    """

    def __init__(
        self,
        leases: Leases,
        campaign_id: int,
        owner: str,
        is_alive: Callable[[str], bool | None] = lambda _: None,
    ) -> None:
        """`is_alive` tells whether the process of an owner lives; None where that is unknown.

        The lease of a dead process is taken over at once. That of a living process is not taken
        over when it expires: the process may only be late.
        """
        self._leases = leases
        self._campaign_id = campaign_id
        self._owner = owner
        self._renewal = Renewal(
            self.confirm,
            taken_at=self._acquire(is_alive),
            every_seconds=_RENEW_SECONDS,
            name="lease",
        )
        self.held = self._renewal.held
        self.on_lost = self._renewal.on_lost

    def confirm(self) -> None:
        """Renew the lease for LEASE_SECONDS. Raises CampaignBusyError where another run has it."""
        self._leases.renew(self._campaign_id, self._owner)

    def may_claim(self, transaction: Transaction) -> bool:
        """Renew the lease in a transaction; True where this run may claim in it.

        A machine that was paused does not know that; another run may have taken the lease
        meanwhile.
        """
        is_ours = self._leases.keep(transaction, self._campaign_id, self._owner)
        if not is_ours:
            self._renewal.lose("another run has taken the campaign over")
        return is_ours

    def close(self) -> None:
        """Release the lease."""
        self._renewal.close()
        if self._renewal.lost:
            return
        try:
            self._leases.release(self._campaign_id, self._owner)
        except DatabaseError as error:
            logger.warning("the lease could not be released; it expires by itself: %s", told(error))

    def _acquire(self, is_alive: Callable[[str], bool | None]) -> float:
        """Acquire the lease; returns the moment of the steady clock from which it holds."""
        silence, waits = Silence(), False
        while True:
            asked, lease = steady(), self._leases.read(self._campaign_id)
            clocks_differ = abs(lease.now - time.time())
            unchanged = silence.seconds(lease.owner, lease.until, asked)
            owner_is_alive = is_alive(lease.owner) if lease.owner else None
            is_silent = unchanged is not None and unchanged > LEASE_SECONDS
            is_dead = owner_is_alive is False or is_silent
            try:
                self._leases.acquire(
                    self._campaign_id,
                    self._owner,
                    dead_owner=lease.owner if is_dead else None,
                    when_run_out=clocks_differ < AGREE_SECONDS and not owner_is_alive,
                )
            except CampaignBusyError:
                if waits and unchanged is None:
                    raise  # the holder has renewed it, so the holder lives
                if not waits:
                    logger.info(
                        "another run holds the campaign: waiting to see whether it is still alive"
                    )
                if not waits and clocks_differ >= AGREE_SECONDS:
                    logger.warning(
                        "the clocks of the state database and of this machine differ by %.0f s:"
                        " waiting for the lease, even if it seems to have expired. Let NTP set the"
                        " clocks",
                        clocks_differ,
                    )
                waits = True
                time.sleep(_POLL_SECONDS)
            else:
                return asked
