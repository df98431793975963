"""A connection's standing as JSON, which senders store for the run of their campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import orjson

from mailsluice.reports.progress import Binding, Cause, Standing, Tally
from mailsluice.stop_loss import Figures, Unit


def dumped(standing: Standing, figures: Mapping[Unit, Figures] | None = None) -> str:
    """Serialise a standing, and the figures of its mailbox providers."""
    numbers = [(unit.provider, *counts.numbers) for unit, counts in (figures or {}).items()]
    return orjson.dumps({**asdict(standing), "figures": numbers}).decode()


def figures_in(text: str) -> dict[Unit, Figures]:
    """Read the figures that `dumped` wrote."""
    standing = orjson.loads(text)
    return {
        Unit(standing["connection"], provider): Figures(*numbers)
        for provider, *numbers in standing.get("figures", ())
    }


def loaded(text: str) -> Standing:
    """Read what `dumped` wrote."""
    standing = orjson.loads(text)
    binding = standing["binding"]
    until = datetime.fromisoformat(binding["until"]) if binding["until"] else None
    return Standing(
        standing["connection"],
        Tally(**standing["tally"]),
        Binding(Cause(binding["cause"]), binding["detail"], until, binding.get("held", "")),
        tuple(standing.get("waiting", ())),
        standing.get("sessions", 0),
        standing.get("in_flight", 0),
    )
