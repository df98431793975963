"""The limits that apply to the connections of one campaign."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from mailsluice.campaign import ProviderThrottle, Throttle
from mailsluice.delivery.journal import JournalContents
from mailsluice.delivery.provider_rules import ProviderRules, campaign_keys, provider_keys
from mailsluice.limits import CalendarLimit, Cap, Hold, Pace, Rules, calendar_limits, limits, shared
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, Providers, Transaction, Usages, WarmUps


def named(hold: Hold) -> str:
    """Name the rule that delays a connection."""
    kind, _, name = hold.key.partition(" ")
    if isinstance(hold.rule, Pace):
        return str(hold.rule)
    if isinstance(hold.rule, Cap):
        return f"{name}'s warm-up: {hold.rule.count:,} a day"
    if isinstance(hold.rule, CalendarLimit):
        return f"{name}'s quota of {hold.rule}"
    if kind == "campaign":
        _, _, connection = name.partition(" ")
        name = f"{connection}'s share of the campaign's" if connection else "the campaign's"
    return f"{name} {hold.rule}"


class ConnectionRules(NamedTuple):
    """The limits of a connection's messages."""

    connection: Mapping[str, Rules]
    """The limits of all messages, by the key under which other senders share each."""
    providers: ProviderRules
    """The limits of the messages to single mailbox providers."""


class RuleBook:
    """Looks up the limits, by the keys under which all senders share each. Blocking."""

    def __init__(
        self,
        database: Database,
        campaign_id: int,
        throttle: Throttle,
        per_provider: tuple[ProviderThrottle, ...] = (),
        *,
        is_paced: bool = False,
        is_pooled: bool = False,
    ) -> None:
        """Take what the campaign says.

        `is_paced`: the campaign's mail is spread evenly, see `mailsluice.operations.finish`.
        `is_pooled`: the connections claim from a pool, and draw on the campaign's limits alike: no
        connection has a share of them.
        """
        self._database = database
        self._campaign_id = campaign_id
        self._throttle = throttle
        self._per_provider = per_provider
        self._is_paced = is_paced
        self._is_pooled = is_pooled

    def rules(self, connection: Connection) -> ConnectionRules:
        """The limits of a connection's messages from now on.

        They include the limit of the whole campaign beside the connection's share of it: a share of
        less than one message in a window becomes one message in a longer window, so the shares
        alone may exceed the campaign's limit.
        """
        name, shares = connection.name, {} if self._is_pooled else self.shares()
        share = shared(self._throttle, shares).get(name, ())
        rules = {
            **own_rules(self._database, connection),
            _campaign_key(self._campaign_id): Rules(
                limits(self._throttle), is_common=self._is_pooled
            ),
            _share_key(self._campaign_id, name): Rules(share),
            pace_key(self._campaign_id, name): Rules(is_paced=self._is_paced),
        }
        providers = ProviderRules(
            name,
            self._campaign_id,
            connection.per_provider,
            self._per_provider,
            shares,
            connection.warm_up,
            *_behind(self._database, connection),
        )
        return ConnectionRules(rules, providers)

    def room(self, connection: Connection, seconds: float, most: int) -> int:
        """Count the messages, at most `most`, that could start over a connection within `seconds`.

        The connection's share of the campaign's limits is left out: it grows with its recipients.
        """
        whole = {_campaign_key(self._campaign_id): Rules(limits(self._throttle))}
        rules = {**own_rules(self._database, connection), **whole}
        return Usages(self._database).room(rules, seconds, most)

    def warms_up(self, connection: Connection) -> bool:
        """Whether a connection has a daily cap in these days."""
        return bool(_caps(self._database, connection))

    def providers(self) -> dict[int, str]:
        """The mailbox providers of the campaign's recipients, by number."""
        return Providers(self._database).of(self._campaign_id)

    def forget(self) -> None:
        """Delete the stored usage of the campaign's own limits, since the campaign has ended."""
        of_connections = [
            key(self._campaign_id, name) for name in self.shares() for key in (_share_key, pace_key)
        ]
        keys = [_campaign_key(self._campaign_id), *of_connections]
        with self._database.write() as transaction:
            Usages(self._database).forget(
                transaction, keys, beginning=campaign_keys(self._campaign_id)
            )

    def shares(self) -> dict[str, Decimal]:
        """The shares at the launch, adjusted for recipients that moved to other connections."""
        return Campaigns(self._database).shares(self._campaign_id)


def bequeath(
    database: Database,
    transaction: Transaction,
    campaign_id: int,
    connection: str,
    evidence: JournalContents | None,
) -> None:
    """Note which of its starts over a connection a dead process has used, if that is known.

    Otherwise all its starts stay reserved until they expire.
    """
    if not evidence or not evidence.accounts:
        return
    usages = Usages(database)
    if estate := evidence.estate(connection):
        keys = [
            own_key(connection),
            _campaign_key(campaign_id),
            _share_key(campaign_id, connection),
            pace_key(campaign_id, connection),
        ]
        usages.bequeath(transaction, estate, keys)
    for provider in Providers(database).of(campaign_id).values():
        if estate := evidence.estate(connection, provider):
            usages.bequeath(transaction, estate, provider_keys(campaign_id, provider, connection))


def own_rules(database: Database, connection: Connection) -> dict[str, Rules]:
    """The limits of everything that is sent over a connection, by any campaign. Blocking."""
    rules = Rules(limits(connection), _caps(database, connection), calendar_limits(connection))
    return {own_key(connection.name): rules}


def own_key(connection: str) -> str:
    """The key of the limits of everything that is sent over a connection."""
    return f"connection {connection}"


def _campaign_key(campaign_id: int) -> str:
    return f"campaign {campaign_id}"


def _share_key(campaign_id: int, connection: str) -> str:
    return f"{_campaign_key(campaign_id)} {connection}"


def pace_key(campaign_id: int, connection: str) -> str:
    """The key of the even pace at which a campaign is sent over a connection."""
    return f"pace {campaign_id} {connection}"


def _caps(database: Database, connection: Connection) -> tuple[Cap, ...]:
    """The daily caps of a warm-up, for the days around today by the database's clock."""
    warm_up = connection.warm_up
    if warm_up.start is None:
        return ()
    today = warm_up.today(database.moment())
    held_back = WarmUps(database).held_back_days(connection.name, today)
    return warm_up.caps_around(today, held_back)


def _behind(database: Database, connection: Connection) -> tuple[date | None, Mapping[str, int]]:
    """The day of a warm-up with caps of providers, and by how many days each is behind its plan."""
    warm_up = connection.warm_up
    if not warm_up.per_provider:
        return None, {}
    today = warm_up.today(database.moment())
    return today, WarmUps(database).providers_held_back(connection.name, today)
