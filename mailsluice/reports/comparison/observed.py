"""What became of the mail, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd


class Measure(StrEnum):
    """What may become of a recipient's mail; a column of the counts."""

    ACCEPTED = "accepted"
    """The server took it over, at whatever attempt."""
    DEFERRED = "deferred"
    """The server said "later" at the first attempt, whatever it said afterwards."""
    FAILED = "failed"
    """Refused for good, or the attempts are used up."""
    BOUNCED = "bounced"
    """A hard bounce is known of, in the dialogue or afterwards."""

    @property
    def is_tested(self) -> bool:
        """Accepted is not: it is what neither failed nor waits, so a test would count twice."""
        return self is not Measure.ACCEPTED


KEYS = ["campaign", "domain", "connection"]
NUMBERS = ["mail", *(measure.value for measure in Measure)]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The mail of some campaigns. No addresses."""

    counts: pd.DataFrame
    """A row a campaign, domain and connection (KEYS): how many recipients were attempted (`mail`),
    what became of them (Measure), and, not among these, who is left out: whoever was `moved` to
    the connection from another one, and of whom nobody knows (`uncertain`)."""
    unfinished: Sequence[str] = ()
    """Campaigns that still have mail to send."""
    warming: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By campaign: connections that it held back, to warm them up."""
