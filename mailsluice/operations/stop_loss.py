"""Watch a campaign while it is sent: hold what passes a limit, and judge its canary.

The numbers of replies are in memory, those of returned mail and events in the state database. The
database is read more rarely the longer that takes, so that the watch costs a fiftieth of the time
at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from mailsluice.campaign import Approval, Campaign, StopLoss
from mailsluice.core.beside import beside
from mailsluice.core.status import CampaignStatus
from mailsluice.core.steady import steady
from mailsluice.delivery import CampaignRun
from mailsluice.operations.looking import look_again
from mailsluice.stop_loss import (
    CANARY,
    UNKNOWN,
    Decision,
    Figures,
    Finding,
    Hold,
    Judge,
    Limits,
    Unit,
    add_figures,
    judge_canary,
)
from mailsluice.store import Canaries, Holds, NewHold, OutcomeFigures
from mailsluice.store.canaries import Canary

logger = logging.getLogger(__name__)

OnHold = Callable[[Hold], None]
"""Called with each part of the campaign that is held from now on."""

_LOOK_SECONDS = 1.0
_LATER_SECONDS = 10.0
_BLOCKS = 3
"""A provider rests after so many blocks without an accepted message in between."""
_TIMES = 50
"""How many times as long as a look takes the next one is waited for."""


@asynccontextmanager
async def watched_losses(
    run: CampaignRun, campaign: Campaign, on_hold: OnHold = lambda _: None
) -> AsyncIterator[None]:
    """Watch the run while the `with` block sends, if its document has limits or a canary."""
    watch = LossWatch(run, campaign, on_hold)
    if not await watch.begin():
        yield
        return
    async with beside(watch.run()):
        yield


class LossWatch:
    """Compares a campaign's figures with its limits again and again."""

    def __init__(self, run: CampaignRun, campaign: Campaign, on_hold: OnHold) -> None:
        self._run = run
        self._campaign = campaign
        self._limits = limits(campaign.stop_loss)
        self._on_hold = on_hold
        database = run.database
        self._holds = Holds(database, run.id)
        self._canaries = Canaries(database, run.id)
        self._stored = OutcomeFigures(database, run.id)
        self._judge: Judge | None = None
        self._before: dict[Unit, Figures] = {}
        self._later: dict[Unit, Figures] = {}
        self._later_at = 0.0
        self._forgiven: dict[Unit, Figures] = {}
        """Figures with which an operator let a part go on."""
        self._has_canaries = bool(campaign.canary)
        self._canary_count = 1
        self._asked: set[str] = set()
        """Connections whose canary an operator decides about."""

    async def begin(self) -> bool:
        """Read what was sent before; returns whether there is anything to watch."""
        if not self._campaign.canary:  # it may have been taken out of the document
            await asyncio.to_thread(self._canaries.decide)
        if not self._limits and not self._campaign.canary:
            return False
        await asyncio.to_thread(self._read)
        is_launched_before = self._run.record.status is not CampaignStatus.RESOLVING
        if self._campaign.canary and is_launched_before and not self._canary_count:
            logger.warning(
                "the canary has no effect: the launch chooses it, and this campaign was launched"
                " without one"
            )
        return True

    def _read(self) -> None:
        holds = self._holds.all()
        for hold in holds:
            if hold.decision in (Decision.GO_ON, Decision.MOVE):
                for provider, figures in hold.figures.items():
                    self._forgiven[Unit(hold.unit.connection, provider)] = figures
        self._canary_count = self._canaries.count()
        if self._run.record.status is not CampaignStatus.RESOLVING:  # which this run has launched
            self._before = self._stored.settled()
            self._read_later()
        held = [hold.unit for hold in holds if hold.is_active]
        self._asked = {unit.connection for unit in held if unit == unit.whole}
        self._judge = Judge(self._limits, self._present({}), held)

    def _read_later(self) -> None:
        began = steady()
        self._later = self._stored.later()
        self._later_at = steady() + max(_LATER_SECONDS, _TIMES * (steady() - began))

    async def run(self) -> None:
        """Look until this is cancelled: a canary waits for this watch."""
        await look_again(
            self.look,
            "a look at the stop-loss failed; the next one follows",
            lambda took: max(_LOOK_SECONDS, _TIMES * took),
        )

    async def look(self) -> None:
        """Judge canaries whose wait is over, and compare all figures with the limits."""
        if self._has_canaries:
            await asyncio.to_thread(self._judge_canaries)
        if steady() >= self._later_at:
            await asyncio.to_thread(self._read_later)
        await asyncio.to_thread(self._compare, await self._run.figures())

    def _compare(self, in_this_run: Mapping[Unit, Figures]) -> None:
        figures = self._present(in_this_run)
        if self._judge and (found := self._judge.look(figures)):
            self._hold(_new_holds(found, figures))

    def _present(self, in_this_run: Mapping[Unit, Figures]) -> dict[Unit, Figures]:
        """The figures of each provider on each connection that count now."""
        totals = dict(self._before)
        add_figures(totals, self._later)
        add_figures(totals, in_this_run)
        return self._counting(totals)

    def _counting(self, figures: Mapping[Unit, Figures]) -> dict[Unit, Figures]:
        """The figures without those with which an operator let a part go on."""
        nothing = Figures()
        return {unit: now - self._forgiven.get(unit, nothing) for unit, now in figures.items()}

    def _judge_canaries(self) -> None:
        undecided = [
            canary for canary in self._canaries.undecided() if canary.connection not in self._asked
        ]
        self._has_canaries = bool(undecided)
        for canary in undecided:
            self._judge_canary(canary)

    def _judge_canary(self, canary: Canary) -> None:
        """Begin a canary's wait, or decide about it at the end of the wait."""
        settings = self._campaign.canary
        if not canary.is_attempted:
            if self._begins_wait(canary, 60.0 * settings.wait_minutes):
                logger.info(
                    "%s: the canary of %d recipients was sent; it is judged in %d minutes",
                    canary.connection,
                    canary.recipients,
                    settings.wait_minutes,
                )
            return
        if not canary.is_due:
            return
        figures = self._stored.settled(canary.connection, canary.last_id)
        add_figures(figures, self._stored.later(canary.connection, canary.last_id))
        new = _new_holds(
            judge_canary(self._limits, self._counting(figures), self._canary_count), figures
        )
        whole = Unit(canary.connection)
        proves_nothing = not any(numbers.sent for numbers in figures.values())
        must_ask = settings.approve is Approval.OPERATOR or proves_nothing
        if must_ask and not any(hold.unit == whole for hold in new):
            parts = {unit.provider or UNKNOWN: numbers for unit, numbers in figures.items()}
            new.append(NewHold(whole, CANARY, None, parts))
        self._hold(new)
        if any(hold.unit == whole for hold in new):
            self._asked.add(canary.connection)
        else:
            self._canaries.decide(canary.connection)
            logger.info("%s: the canary is fine, the other recipients follow", canary.connection)

    def _begins_wait(self, canary: Canary, seconds: float) -> bool:
        """Begin a canary's wait, if all was attempted but the mail to providers that block all.

        These rest for half an hour again and again, which proves enough.
        """
        if self._canaries.begin_wait(canary, seconds):
            return True
        figures = self._stored.settled(canary.connection, canary.last_id)
        blocking = {
            unit.provider or UNKNOWN
            for unit, numbers in figures.items()
            if numbers.blocked >= _BLOCKS and not numbers.sent
        }
        return bool(blocking) and self._canaries.begin_wait(canary, seconds, blocking)

    def _hold(self, new: list[NewHold]) -> None:
        held = self._holds.add(new)
        self._run.hold(hold.unit for hold in held)
        for hold in held:
            self._on_hold(hold)


def limits(stop_loss: StopLoss) -> Limits:
    """The limits of a document, as fractions."""
    percents = (stop_loss.bounce_percent, stop_loss.block_percent, stop_loss.complaint_percent)
    return Limits(*(None if percent is None else float(percent) / 100 for percent in percents))


def _new_holds(found: Iterable[Finding], figures: Mapping[Unit, Figures]) -> list[NewHold]:
    """What is to be held, with the figures of all providers that are in it."""
    return [
        NewHold(
            finding.unit,
            finding.measure.value,
            100 * finding.limit,
            {
                unit.provider or UNKNOWN: numbers
                for unit, numbers in figures.items()
                if finding.unit in (unit, unit.whole)
            },
        )
        for finding in found
    ]
