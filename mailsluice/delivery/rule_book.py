"""The limits that one campaign's connections fall under."""

from __future__ import annotations

from decimal import Decimal

from mailsluice.campaign import Throttle
from mailsluice.limits import Cap, Hold, Rules, limits, shared
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, Usages, WarmUps


def named(hold: Hold) -> str:
    """The rule that a connection waits for, in words."""
    kind, _, name = hold.key.partition(" ")
    if isinstance(hold.rule, Cap):
        return f"{name}'s warm-up: {hold.rule.count:,} a day"
    if kind == "campaign":
        _, _, connection = name.partition(" ")
        name = f"{connection}'s share of the campaign's" if connection else "the campaign's"
    return f"{name} {hold.rule}"


class RuleBook:
    """Looks them up, by the key that all who fall under the same limit share. Blocking."""

    def __init__(self, database: Database, campaign_id: int, throttle: Throttle) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._throttle = throttle

    def rules(self, connection: Connection) -> dict[str, Rules]:
        """What holds for a connection's messages from now on.

        A campaign's share below one message a window is one in a longer window: so its limit has to
        hold for all of it as well.
        """
        share = shared(self._throttle, self.shares()).get(connection.name, ())
        return {
            **own_rules(self._database, connection),
            self._key: Rules(limits(self._throttle)),
            f"{self._key} {connection.name}": Rules(share),
        }

    def forget(self) -> None:
        """Nobody will send under the campaign's own limits any more."""
        keys = [self._key, *(f"{self._key} {name}" for name in self.shares())]
        with self._database.write() as transaction:
            Usages(self._database).forget(transaction, keys)

    def shares(self) -> dict[str, Decimal]:
        """Shares as they were at the launch, moved along with recipients that moved."""
        return Campaigns(self._database).shares(self._campaign_id)

    @property
    def _key(self) -> str:
        return f"campaign {self._campaign_id}"


def own_rules(database: Database, connection: Connection) -> dict[str, Rules]:
    """What holds for all that goes over a connection, whoever sends it. Blocking."""
    return {f"connection {connection.name}": Rules(limits(connection), _caps(database, connection))}


def _caps(database: Database, connection: Connection) -> tuple[Cap, ...]:
    """Those of a warm-up, for the days around this one by the database's clock."""
    warm_up = connection.warm_up
    if warm_up.start is None:
        return ()
    moment = database.moment()
    today = warm_up.today(moment)
    held_back = WarmUps(database).held_back_days(connection.name, today)
    return warm_up.caps_around(moment, held_back)
