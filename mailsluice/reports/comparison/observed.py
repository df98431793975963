"""The counted mail of some campaigns, the input of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd


class Measure(StrEnum):
    """An outcome of a recipient's mail, and a column of the counts."""

    ACCEPTED = "accepted"
    """The server accepted the mail, at any attempt."""
    DEFERRED = "deferred"
    """The server deferred the first attempt, whatever came later."""
    FAILED = "failed"
    """The server refused the mail for good, or the attempts are used up."""
    BOUNCED = "bounced"
    """A hard bounce is recorded, from the SMTP dialogue or from a mailbox."""

    @property
    def is_tested(self) -> bool:
        """Whether connections are tested in this measure.

        Accepted mail is the mail that neither failed nor waits, so a test would repeat another.
        """
        return self is not Measure.ACCEPTED


KEYS = ["campaign", "domain", "connection"]
NUMBERS = ["mail", *(measure.value for measure in Measure)]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The counted mail of some campaigns, without addresses."""

    counts: pd.DataFrame
    """A row for each campaign, domain and connection (KEYS). `mail` counts the attempted recipients
    and the columns of Measure their outcomes. Recipients that are left out are counted in `moved`
    (to the connection from another one) and `uncertain`."""
    unfinished: Sequence[str] = ()
    """Campaigns that still have mail to send."""
    warming: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By campaign: connections that sent a part of it later because they warmed up."""
