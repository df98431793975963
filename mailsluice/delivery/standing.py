"""A connection's standing as JSON, which senders store for the run of their campaign."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import orjson

from mailsluice.reports.progress import Binding, Cause, Standing, Tally


def dumped(standing: Standing) -> str:
    """Serialise a standing."""
    return orjson.dumps(asdict(standing)).decode()


def loaded(text: str) -> Standing:
    """Read what `dumped` wrote."""
    standing = orjson.loads(text)
    binding = standing["binding"]
    until = datetime.fromisoformat(binding["until"]) if binding["until"] else None
    return Standing(
        standing["connection"],
        Tally(**standing["tally"]),
        Binding(Cause(binding["cause"]), binding["detail"], until, binding.get("held", "")),
    )
