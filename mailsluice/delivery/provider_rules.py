"""The limits of the mail to single mailbox providers, over one connection of a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mailsluice.campaign import ProviderThrottle
from mailsluice.campaign.provider_entry import entry_of
from mailsluice.limits import Rules, limits, shared


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

    def __bool__(self) -> bool:
        return bool(self.own or self.campaigns)

    def of(self, provider: str) -> dict[str, Rules]:
        """The limits of a provider's mail; none where there is no entry for it."""
        own, all_connections, share = provider_keys(self.campaign_id, provider, self.connection)
        rules = {}
        if entry := entry_of(self.own, provider):
            rules[own] = Rules(limits(entry))
        if entry := entry_of(self.campaigns, provider):
            rules[all_connections] = Rules(limits(entry))
            rules[share] = Rules(shared(entry, self.shares).get(self.connection, ()))
        return rules


def provider_keys(campaign_id: int, provider: str, connection: str) -> tuple[str, str, str]:
    """The keys of a provider's limits: the connection's, the campaign's, and its share of these."""
    of_campaign = f"{campaign_keys(campaign_id)}{provider}"
    own = f"provider {provider} of connection {connection}"
    return own, of_campaign, f"{of_campaign} {connection}"


def campaign_keys(campaign_id: int) -> str:
    """The beginning of all keys of a campaign's limits by provider, and of no other key."""
    return f"campaign {campaign_id}: "
