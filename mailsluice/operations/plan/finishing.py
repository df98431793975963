"""The plan of a campaign that is spread until a finish time: its pace, and whether it can be kept.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from mailsluice.campaign import Campaign
from mailsluice.campaign.estimate import Load
from mailsluice.campaign.finish import Span, raised
from mailsluice.limits import Pace
from mailsluice.mailbox_providers import title_of
from mailsluice.operations.plan.plan import ConnectionPlan
from mailsluice.operations.plan.provider_plan import ProviderPlan, moment_text

_HOUR_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class FinishPlan:
    """The finish time of a campaign that is planned."""

    span: Span
    seconds: float
    """Over how many seconds the mail is spread: those in which sending is open."""

    def is_late(self, ends_at: datetime | None) -> bool:
        """Whether mail that is done at a moment, as fast as the limits allow, is late."""
        return ends_at is None or ends_at > self.span.until + self.span.tolerance

    def spread(self, part: ConnectionPlan) -> ConnectionPlan:
        """The plan of a connection whose mail is spread until the finish time, where that fits."""
        if not part.count or part.ends_at is None or part.ends_at > self.span.closes_at:
            return part
        return replace(
            part, binding=f"finish time, {self._pace(part)}", ends_at=self.span.closes_at
        )

    def spread_provider(self, part: ProviderPlan) -> ProviderPlan:
        """The plan of the mail to one provider, which is done with all other mail."""
        if part.ends_at is None or part.ends_at > self.span.closes_at:
            return part
        return replace(part, binding="finish time", ends_at=self.span.closes_at)

    def sentence(self, campaign: Campaign, parts: Sequence[ConnectionPlan]) -> str:
        """Say until when the mail is spread, and at which pace over each connection."""
        paces = ", ".join(f"{part.connection} {self._pace(part)}" for part in parts if part.count)
        hours = self.seconds / _HOUR_SECONDS
        left_out = "" if not campaign.canary else ", without the canary's wait"
        return (
            f"The mail is spread evenly until {moment_text(self.span.until)}, over {hours:,.1f}"
            f" open hours{left_out}: {paces}. Retries that come due after that are later, and so"
            " are recipients that are held"
        )

    def _pace(self, part: ConnectionPlan) -> str:
        return str(Pace(self.seconds / part.count)) if self.seconds else "at once"

    def warnings(
        self,
        parts: Sequence[ConnectionPlan],
        loads: Mapping[str, Load],
        providers: Sequence[ProviderPlan],
        shares: Mapping[str, Decimal],
    ) -> Iterator[str]:
        """Say which connections cannot be done in time, and which limits to raise.

        `parts` are the plans of the connections as fast as the limits allow.
        """
        for part in parts:
            if part.count and self.is_late(part.ends_at):
                slow = [plan for plan in providers if plan.connection == part.connection]
                steps = [*self._steps(part, loads[part.connection], slow, shares)]
                end = moment_text(part.ends_at) if part.ends_at else "in years"
                advice = f": {'; '.join(steps)}; or give a later time to finish by" if steps else ""
                yield (
                    f"{part.connection} cannot be done by {moment_text(self.span.until)}, but about"
                    f" {end}, as it is bound by {part.binding}{advice}"
                )

    def _steps(
        self,
        part: ConnectionPlan,
        load: Load,
        providers: Sequence[ProviderPlan],
        shares: Mapping[str, Decimal],
    ) -> Iterator[str]:
        if not self.seconds:
            return
        needed = part.count / self.seconds
        for bound in load.bounds:
            if bound.per_second < needed:
                yield raised(bound, part.connection, needed, shares.get(part.connection))
        for quota in load.quotas:
            others = [other for other in load.quotas if other is not quota]
            if not self.is_late(replace(load, quotas=others).ends_at()):
                yield f"its quota of {quota.limit} is too small: raise it at the provider"
        later = sum(count for at, count in load.releases if at >= self.span.closes_at)
        if later:
            yield f"its warm-up leaves {later:,} recipients to later days: raise its caps"
        for plan in providers:
            if self.is_late(plan.ends_at) and plan.binding != part.binding:
                pace = Pace(self.seconds / plan.count)
                title = title_of(plan.provider) if plan.provider else "a smaller provider"
                yield f"its mail to {title} needs {pace}, but is bound by {plan.binding}"


def finish_plan(campaign: Campaign, starts_at: datetime) -> FinishPlan | None:
    """Plan the finish time of a campaign that starts at a moment; None where it has none."""
    opens_at = campaign.sending_window.opens_at(starts_at)
    end = campaign.finish_at(opens_at)
    if end is None:
        return None
    span = Span(campaign.sending_window, opens_at, end)
    wait = 60.0 * campaign.canary.wait_minutes if campaign.canary else 0.0
    return FinishPlan(span, max(0.0, span.left(starts_at)[1] - wait))
