"""The connections that an affinity group remembers, at a launch and for the people who run it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailsluice.campaign import Campaign
from mailsluice.core.errors import MailsluiceError
from mailsluice.store import Database, Transaction
from mailsluice.store.affinities import (
    NOT_KNOWN,
    Affinities,
    AffinityGroup,
    record_counts,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mailsluice.assignment.assignment import Assignment
    from mailsluice.audience.resolved import Audience


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """The routes that a campaign's recipients had in earlier campaigns of its group."""

    routes: npt.NDArray[np.int16]
    """(n,) by audience index: the route, NEW or ELSEWHERE (`mailsluice.assignment.keeping`)."""
    group: AffinityGroup
    names: tuple[str, ...]
    """The connections of the routes."""

    def update(
        self,
        database: Database,
        transaction: Transaction,
        campaign_id: int,
        audience: Audience,
        assignment: Assignment,
    ) -> bool:
        """Remember the routes of a campaign's assignment from now on, and record its counts.

        Returns False, and changes nothing, if the group has changed meanwhile: then the assignment
        has to be made again.
        """
        import numpy as np

        affinities = Affinities(database)
        group = affinities.begin(transaction, self.group, self.names)
        if group is None:
            return False
        numbers = np.array([group.connections.index(name) for name in self.names], np.int16)
        connections = np.empty(len(assignment.order), np.int16)
        connections[assignment.order] = numbers[assignment.route]
        affinities.remember(transaction, group, audience.address_keys[:, 0], connections)
        if assignment.affinity:
            record_counts(transaction, campaign_id, assignment.affinity)
        return True


def remembered(database: Database, campaign: Campaign, audience: Audience) -> Remembered | None:
    """Recall the routes of a campaign's recipients; None for a campaign without affinity."""
    if not campaign.has_affinity:
        return None
    import numpy as np

    from mailsluice.assignment.keeping import ELSEWHERE, NEW

    affinities, names = Affinities(database), [route.connection for route in campaign.sharing]
    group = affinities.group(campaign.affinity_group)
    numbers = affinities.recall(group, audience.address_keys[:, 0])
    routes = [names.index(name) if name in names else ELSEWHERE for name in group.connections]
    by_number = np.array([*routes, NEW], np.int16)
    numbers[numbers == NOT_KNOWN] = len(routes)
    return Remembered(by_number[numbers], group, tuple(names))


class AffinityError(MailsluiceError):
    """There is no such affinity group."""


def groups(database: Database) -> dict[str, dict[str, int]]:
    """Count the addresses of each affinity group by their connection. Reads all groups."""
    affinities = Affinities(database)
    return {group.name: affinities.counts(group) for group in affinities.groups()}


def forget_group(database: Database, name: str) -> int:
    """Forget a group: its next campaign shares recipients out anew. Returns how many it knew.

    Raises AffinityError when there is no such group.
    """
    affinities = Affinities(database)
    group = affinities.group(name)
    if group.id is None:
        known = ", ".join(group.name for group in affinities.groups()) or "none"
        raise AffinityError(f"there is no affinity group {name!r} (known: {known}): check its name")
    return affinities.forget(group)


def forget_addresses(database: Database, addresses: Iterable[str]) -> int:
    """Forget these addresses, in any spelling, in all groups; returns how many entries there were.

    Texts that are not addresses are in no group.
    """
    import pandas as pd

    from mailsluice.audience.address import normalise
    from mailsluice.audience.chunk import as_array
    from mailsluice.audience.keys import address_keys

    given = normalise(pd.Series([*addresses], dtype="str"))["email"]
    keys = address_keys(as_array(given[given != ""].reset_index(drop=True)))[:, 0]
    affinities = Affinities(database)
    return sum(affinities.forget(group, keys) for group in affinities.groups())
