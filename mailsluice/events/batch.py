"""The events of one request or one page, and what could not be used of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mailsluice.events.event import ProviderEvent
from mailsluice.events.fields import Fields, UnreadableEventError

MAX_EVENTS = 10_000
"""Events of one request. Providers send at most a few thousand together."""

ABOUT_SOMETHING_ELSE = "not about delivery"
UNREADABLE = "not readable"


@dataclass(slots=True)
class Batch:
    """Events in the order in which the provider lists them."""

    events: list[ProviderEvent] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    """Events that were left out, by reason: opens and clicks, unreadable ones."""


def batch_of(
    elements: Iterable[Any],
    read: Callable[[Fields], ProviderEvent | Iterable[ProviderEvent] | None],
) -> Batch:
    """Read each element; one that is not readable is counted, and does not hinder the others."""
    batch = Batch()
    for element in elements:
        try:
            event = read(Fields(element))
            events = [event] if isinstance(event, ProviderEvent) else [*(event or ())]
        except UnreadableEventError:
            batch.unused[UNREADABLE] += 1
            continue
        if not events:
            batch.unused[ABOUT_SOMETHING_ELSE] += 1
        batch.events += events
    return batch
