"""The plan for the mail to one mailbox provider, and the table of these plans. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.core.markdown import cell, table
from mailsluice.mailbox_providers import title_of

_MOST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """The plan for the mail that one connection sends to one mailbox provider."""

    provider: str | None
    """None stands for all providers that are not among the largest."""
    connection: str
    count: int
    binding: str
    """The limit that decides when this mail is sent."""
    ends_at: datetime | None
    """An estimate; None when it is years away."""


def provider_table(plans: Sequence[ProviderPlan]) -> list[str]:
    """The plans of the largest connections as a table, those of all others summed up."""
    sizes: dict[str, int] = {}
    for plan in plans:
        sizes[plan.connection] = sizes.get(plan.connection, 0) + plan.count
    largest = sorted(sizes, key=lambda name: -sizes[name])
    alone = largest if len(largest) <= _MOST_CONNECTIONS + 1 else largest[:_MOST_CONNECTIONS]
    rows = []
    for provider in dict.fromkeys(sorted((plan.provider for plan in plans), key=_is_sum)):
        mine = [plan for plan in plans if plan.provider == provider]
        rows += [_row(plan.connection, [plan]) for plan in mine if plan.connection in alone]
        if rest := [plan for plan in mine if plan.connection not in alone]:
            rows.append(_row(f"{len(rest)} others", rest))
    head = ["provider", "connection", "sends to", "bound by", "done about"]
    return table(head, rows, words=2) if rows else []


def _is_sum(provider: str | None) -> bool:
    return provider is None


def _row(connection: str, plans: Sequence[ProviderPlan]) -> list[str]:
    """A row for the plans of one provider, over one connection or over several."""
    provider, bindings = plans[0].provider, {plan.binding for plan in plans}
    ends = [plan.ends_at for plan in plans if plan.ends_at]
    return [
        "smaller providers" if provider is None else cell(title_of(provider)),
        cell(connection),
        f"{sum(plan.count for plan in plans):,}",
        cell(bindings.pop()) if len(bindings) == 1 else "",
        moment_text(max(ends)) if len(ends) == len(plans) else "",
    ]


def moment_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
