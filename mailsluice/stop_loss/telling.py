"""Held parts of a campaign in words, without addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mailsluice.core.markdown import cell
from mailsluice.mailbox_providers import title_of
from mailsluice.stop_loss.decision import CANARY, Hold
from mailsluice.stop_loss.figures import Figures, Measure
from mailsluice.stop_loss.unit import Unit

_SAID = {
    Measure.BOUNCED: "bounced",
    Measure.BLOCKED: "were blocked",
    Measure.COMPLAINED: "complained",
}


def named(unit: Unit, providers: Mapping[int, str]) -> str:
    """Name a part of a campaign; `providers` are the campaign's, by number."""
    if unit.provider is None:
        return unit.connection
    provider = providers.get(unit.provider)
    return f"{title_of(provider) if provider else 'unknown'} over {unit.connection}"


def reason(hold: Hold) -> str:
    """Say in a sentence why a part is held."""
    if hold.reason == CANARY:
        sent, refused = hold.total.sent, hold.total.refused
        return f"its canary has ended ({sent:,} sent, {refused:,} refused) and waits for approval"
    measure = Measure(hold.reason)
    return (
        f"{_share(hold.total, measure)} {_SAID[measure]}, more than {hold.limit_percent or 0:g} %"
    )


def told(holds: Iterable[Hold], providers: Mapping[int, str]) -> list[str]:
    """A sentence for each hold."""
    return [f"{named(hold.unit, providers)} is held: {reason(hold)}" for hold in holds]


def figures(holds: Iterable[Hold], providers: Mapping[int, str]) -> list[str]:
    """The reason and the figures of each hold, as items of a Markdown list.

    A table would be wider than the form in which Prefect shows this.
    """
    return [
        f"- **{cell(named(hold.unit, providers))}**: {cell(reason(hold))}. In all"
        f" {hold.total.sent:,} sent, {hold.total.refused:,} refused; {_all_shares(hold.total)}."
        for hold in holds
    ]


def _all_shares(figures: Figures) -> str:
    return ", ".join(f"{_share(figures, measure)} {_SAID[measure]}" for measure in Measure)


def _share(figures: Figures, measure: Measure) -> str:
    number, of = figures.in_all(measure)
    return f"{number:,} of {of:,} ({100 * number / of:.2f} %)" if of else "0"
