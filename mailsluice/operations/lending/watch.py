"""Lend the room of connections while a campaign is sent: look once a second, and move recipients.

The connections that may be lent recipients stay ready as long as some may come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from mailsluice.campaign import Campaign
from mailsluice.core.steady import steady
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.handovers import Handovers
from mailsluice.operations.lending.planner import LendingPlanner, LendingSettings, Loan
from mailsluice.operations.lending.situation import Situation
from mailsluice.operations.looking import look_again
from mailsluice.reports.progress import Standing
from mailsluice.smtp.connection import Connection
from mailsluice.store import Canaries, WarmUps

logger = logging.getLogger(__name__)

_TIMES = 20
"""How many times as long as a look takes the next one is waited for."""


class LendingWatch:
    """Observes the progress of a campaign's run, and carries out the loans."""

    def __init__(
        self,
        run: CampaignRun,
        campaign: Campaign,
        connections: Mapping[str, Connection],
        handovers: Handovers,
        settings: LendingSettings | None = None,
    ) -> None:
        """`connections` have the present settings, with the limits."""
        self._run = run
        self._campaign = campaign
        self._connections = connections
        self._handovers = handovers
        self._settings = settings or LendingSettings()
        self._planner: LendingPlanner | None = None
        self._has_canary = bool(campaign.canary)
        self._standings: dict[str, Standing] = {}
        self._told: set[tuple[str, str]] = set()
        """Origins and targets of loans that the log has told."""

    async def run(self) -> None:
        """Look until this is cancelled: connections wait for this watch."""
        await look_again(
            self.look,
            "a look at what may be lent failed; the next one follows",
            lambda took: max(self._settings.look, _TIMES * took),
        )

    async def look(self) -> None:
        """Move what is to move now, and let connections end that nothing can come to any more."""
        if self._planner is None:
            self._planner = await asyncio.to_thread(self._made)
        progress = await self._run.progress()
        self._standings = {standing.connection: standing for standing in progress.standings}
        situations = map(Situation.of, progress.standings)
        self._planner.see(steady(), situations, progress.moves)
        if not self._run.is_stopping:
            await asyncio.to_thread(self._lend, self._planner)
        self._handovers.lend_to(filter(self._planner.may_lend, self._campaign.lenders))

    def _made(self) -> LendingPlanner:
        warm_ups = {
            warm_up.connection for warm_up in WarmUps(self._run.database).of_campaign(self._run.id)
        }
        quotas = {
            route.connection: route.assigned
            for route in self._run.campaigns.routes(self._run.id)
            if route.connection not in warm_ups  # their mail is what the warm-up is for
        }
        return LendingPlanner(
            quotas, self._campaign.lenders, self._campaign.max_shift_percent, self._settings
        )

    def _lend(self, planner: LendingPlanner) -> None:
        if self._has_canary:
            self._has_canary = bool(Canaries(self._run.database, self._run.id).undecided())
        if self._has_canary:
            return  # the recipients beyond a canary wait for the decision
        now = steady()
        for loan in planner.loans(now, self._room):
            if not self._carry_out(loan):
                planner.found_none(loan.origin, now)

    def _carry_out(self, loan: Loan) -> int:
        moved = self._run.lend(
            *loan,
            left=self._standings[loan.origin].tally.left,
            without=self._standings[loan.target].waiting,
        )
        if moved and loan[:2] not in self._told:
            self._told.add(loan[:2])
            logger.info(
                "%s has room, and %s would end later: recipients go there, at most %s %% of %s's",
                loan.target,
                loan.origin,
                f"{self._campaign.max_shift_percent:f}",
                loan.origin,
            )
        return moved

    def _room(self, target: str, most: int) -> int:
        """How many of so many messages the target's limits let start in the time of a batch."""
        connection = self._connections.get(target)
        if connection is None:
            return 0
        tally, situation = self._standings[target].tally, Situation.of(self._standings[target])
        if connection.warm_up.start and tally.left > situation.ready:
            return 0  # those that were deferred need the day's cap
        return self._run.room(connection, self._settings.batch, most)
