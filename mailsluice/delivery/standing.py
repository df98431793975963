"""A connection's standing on its way through the state database, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

import orjson

from mailsluice.reports.progress import Binding, Cause, Standing, Tally


def dumped(standing: Standing) -> str:
    """As JSON."""
    return orjson.dumps(asdict(standing)).decode()


def loaded(text: str) -> Standing:
    """What `dumped` has made."""
    found = orjson.loads(text)
    bound = found["binding"]
    until = datetime.fromisoformat(bound["until"]) if bound["until"] else None
    return Standing(
        found["connection"],
        Tally(**found["tally"]),
        Binding(Cause(bound["cause"]), bound["detail"], until),
    )
