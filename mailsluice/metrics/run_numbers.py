"""The metrics of a campaign's run, from its progress and its figures. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from mailsluice.core.status import RecipientStatus
from mailsluice.mailbox_providers import known_providers, title_of
from mailsluice.metrics import catalogue as names
from mailsluice.metrics.catalogue import OTHER
from mailsluice.metrics.numbers import Numbers
from mailsluice.reports.progress import Cause, Progress, RecentPace, Standing, Tally
from mailsluice.stop_loss import Figures, Unit

_NO_FIGURES = Figures()


class RunNumbers:
    """The numbers of one run, which began with this progress."""

    def __init__(
        self, begun: Progress, providers: Mapping[int, str], limits: Mapping[str, float]
    ) -> None:
        """Count from here on.

        Args:
            begun: The progress before the first message of this run.
            providers: The mailbox providers of the campaign by number.
            limits: Messages a second that limits allow, by connection.
        """
        self._before = {standing.connection: standing.tally for standing in begun.standings}
        self._titles = {number: provider_label(name) for number, name in providers.items()}
        self._limits = limits
        self._given_up: set[str] = set()
        self._paces: defaultdict[str, RecentPace] = defaultdict(RecentPace)

    def now(
        self, progress: Progress, figures: Mapping[Unit, Figures], clock: float, moment: datetime
    ) -> Numbers:
        """The numbers at this moment; `clock` is a steady one, in seconds."""
        numbers = Numbers()
        for standing in progress.standings:
            self._settled(numbers, standing)
            self._present(numbers, progress.campaign, standing, clock)
        self._replies(numbers, progress, figures)
        self._campaign(numbers, progress, moment)
        return numbers

    def _settled(self, numbers: Numbers, standing: Standing) -> None:
        name, tally = standing.connection, standing.tally
        before = self._before.get(name, Tally())
        for status, number in (
            (RecipientStatus.SENT, tally.sent - before.sent),
            (RecipientStatus.FAILED, tally.failed - before.failed),
            (RecipientStatus.UNCERTAIN, tally.uncertain - before.uncertain),
        ):
            numbers.add(names.SETTLED, name, status.value, amount=max(0, number))
        if standing.binding.cause is Cause.QUARANTINED:
            self._given_up.add(name)
        numbers.add(names.QUARANTINES, name, amount=name in self._given_up)

    def _present(self, numbers: Numbers, campaign: str, standing: Standing, clock: float) -> None:
        name = standing.connection
        self._paces[name].see(clock, standing.tally.sent)
        pace, limit = self._paces[name].per_second, self._limits.get(name, math.inf)
        if pace is not None:
            numbers.add(names.PACE, campaign, name, amount=pace)
        if limit < math.inf:
            numbers.add(names.LIMIT, campaign, name, amount=limit)
        numbers.add(names.WAITING, campaign, name, amount=standing.tally.left)
        numbers.add(names.BINDING, campaign, name, standing.binding.cause.name.lower())
        numbers.add(names.SESSIONS, campaign, name, amount=standing.sessions)
        numbers.add(names.IN_FLIGHT, campaign, name, amount=standing.in_flight)

    def _replies(
        self, numbers: Numbers, progress: Progress, figures: Mapping[Unit, Figures]
    ) -> None:
        """Add the replies by mailbox provider; zeros first, so that rates count the first mail."""
        for standing in progress.standings:
            for title in set(self._titles.values()) or {OTHER}:
                _add_figures(numbers, standing.connection, title, _NO_FIGURES)
        for unit, counts in figures.items():
            title = self._titles.get(unit.provider or 0, OTHER)
            _add_figures(numbers, unit.connection, title, counts)

    @staticmethod
    def _campaign(numbers: Numbers, progress: Progress, moment: datetime) -> None:
        campaign = progress.campaign
        numbers.add(names.UPDATED, campaign, amount=moment.timestamp())
        if progress.pool.assigned:
            numbers.add(names.WAITING, campaign, "", amount=progress.pool.left)
        if finish := progress.finish:
            numbers.add(names.FINISH_BY, campaign, amount=finish.by.timestamp())
            if ends_at := finish.ends_at:
                numbers.add(names.FINISH_EXPECTED, campaign, amount=ends_at.timestamp())


def provider_label(provider: str | None) -> str:
    """The name of a mailbox provider in metrics: its title if it has a rule, else OTHER."""
    return title_of(provider) if provider and provider in known_providers() else OTHER


def _add_figures(numbers: Numbers, connection: str, title: str, counts: Figures) -> None:
    for outcome, number in (
        ("accepted", counts.sent),
        ("refused", counts.refused),
        ("deferred", counts.deferred),
    ):
        numbers.add(names.MESSAGES, connection, title, outcome, amount=number)
    numbers.add(names.BLOCKED, connection, title, amount=counts.blocked)
