"""How many recipients of a campaign keep their connection by affinity. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AffinityCounts:
    """The recipients of a campaign with affinity, at the launch."""

    group: str
    kept: int
    """Recipients that keep the connection of earlier campaigns of the group."""
    moved: int
    """Recipients that get another connection than before, for the shares to be exact."""
    new: int
    """Recipients that no earlier campaign of the group had."""

    @property
    def total(self) -> int:
        """All recipients of the campaign."""
        return self.kept + self.moved + self.new

    def sentence(self) -> str:
        """The counts in words."""
        return (
            f"Affinity, group {self.group}: {self.kept:,} recipients keep their connection,"
            f" {self.moved:,} move to another one, {self.new:,} are new"
        )
