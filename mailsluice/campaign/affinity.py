"""Whether an address keeps its connection from campaign to campaign. Pure."""

from __future__ import annotations

from enum import StrEnum

from mailsluice.campaign.policies import Strategy

DEFAULT_GROUP = "default"
"""The affinity group of campaigns that name none."""


class Affinity(StrEnum):
    """Whether an address keeps its connection from campaign to campaign."""

    OFF = "off"
    """Each campaign is shared out anew."""
    RECIPIENT = "recipient"
    """An address keeps its connection over all campaigns of a group."""


def refuse_useless(affinity: Affinity, group: str, strategy: Strategy) -> None:
    """Raise ValueError where affinity, or the name of its group, would have no effect."""
    if affinity is Affinity.OFF:
        if group != DEFAULT_GROUP:
            raise ValueError(
                "affinity_group is for campaigns with affinity: set affinity to 'recipient', or"
                " clear the group"
            )
    elif strategy not in (Strategy.PERCENTAGE, Strategy.ROUND_ROBIN):
        raise ValueError(
            f"affinity has nothing to keep with the strategy {strategy.value!r}: set affinity to"
            " 'off', or choose 'percentage' or 'round_robin'"
        )
