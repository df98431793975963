"""The limits of the mail to single mailbox providers, over one connection of a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from mailsluice.campaign import ProviderThrottle
from mailsluice.campaign.provider_entry import entry_of
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import Cap, Rules, limits, shared


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """The limits of each provider, by the keys under which all senders share each."""

    connection: str
    campaign_id: int = 0
    own: tuple[ProviderThrottle, ...] = ()
    """The connection's limits, over all campaigns."""
    campaigns: tuple[ProviderThrottle, ...] = ()
    """The campaign's limits, over all its connections together."""
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    """The share of each of the campaign's connections."""
    warm_up: WarmUp = field(default_factory=WarmUp)
    """The connection's warm-up."""
    today: date | None = None
    """The day of the warm-up."""
    held_back_days: Mapping[str, int] = field(default_factory=dict)
    """Days by which the caps of providers are behind their plan, where they are."""

    def __bool__(self) -> bool:
        return bool(self.own or self.campaigns or self.warm_up.per_provider)

    def of(self, provider: str) -> dict[str, Rules]:
        """The limits of a provider's mail; none where there is no entry for it."""
        own, all_connections, share = provider_keys(self.campaign_id, provider, self.connection)
        rules = {}
        entry, caps = entry_of(self.own, provider), self._caps(provider)
        if entry or caps:
            rules[own] = Rules(limits(entry) if entry else (), caps)
        if entry := entry_of(self.campaigns, provider):
            rules[all_connections] = Rules(limits(entry))
            rules[share] = Rules(shared(entry, self.shares).get(self.connection, ()))
        return rules

    def _caps(self, provider: str) -> tuple[Cap, ...]:
        """The daily caps of a provider's warm-up, for the days around today."""
        warm_up = self.warm_up.of_provider(provider)
        if warm_up is None or self.today is None:
            return ()
        return warm_up.caps_around(self.today, self.held_back_days.get(provider, 0))


def provider_keys(campaign_id: int, provider: str, connection: str) -> tuple[str, str, str]:
    """The keys of a provider's limits: the connection's, the campaign's, and its share of these."""
    of_campaign = f"{campaign_keys(campaign_id)}{provider}"
    own = f"provider {provider} of connection {connection}"
    return own, of_campaign, f"{of_campaign} {connection}"


def campaign_keys(campaign_id: int) -> str:
    """The beginning of all keys of a campaign's limits by provider, and of no other key."""
    return f"campaign {campaign_id}: "
