"""The plan of a chaos run: its campaigns, connections and kills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from mailsluice.campaign import Campaign
from mailsluice.smtp.connection import Connection, Security
from tests.chaos.variants import VARIANTS, Variant

FAULTS = ("450-at-rcpt-once", "550-at-rcpt", "drop-at-dot", "drop-at-rcpt-once", "421-at-dot-once")


@dataclass(frozen=True)
class Plan:
    """A chaos run; all its chances come from the seed."""

    recipients: int = 4_000
    """The recipients of all campaigns together."""
    kills: int = 20
    seed: int = 1
    database_url: str = ""
    folder: Path = Path()
    sessions: int = 3
    """The sessions of each connection."""
    faulty: int = 0
    """How many of a thousand recipients have one of FAULTS."""
    messages_per_session: int | None = None
    """After how many messages the servers end a session."""
    in_flight: int = 1
    """Messages under way in one session at once."""
    processes: int = 1
    """How many processes of a run send; with several, half of the kills hit one of them."""
    stops: int = 0
    """How many of a hundred kills let messages in flight finish, as a Suspend does."""
    cuts: int = 0
    """How many of a hundred kills hit the links to the database instead."""
    kind: str = "plain"
    """The name of a variant."""

    @property
    def variant(self) -> Variant:
        return VARIANTS[self.kind]

    @property
    def campaigns(self) -> range:
        """The numbers of the campaigns."""
        return range(self.variant.campaigns)

    def addresses(self, number: int) -> Iterator[str]:
        """Yield the audience of a campaign."""
        chance = Random(self.seed)
        names = ("user", *FAULTS)
        weights = (1_000 - self.faulty, *[self.faulty / len(FAULTS)] * len(FAULTS))
        chosen = chance.choices(names, weights, k=self.recipients)
        for i in range(number, self.recipients, len(self.campaigns)):
            yield f"{chosen[i]}.{i}@d{i % 7}.{campaign_name(number)}.example.com"

    def out(self, name: str) -> Path:
        """Return the file in which a connection's server notes what it has accepted."""
        return self.folder / f"{name}.tsv"

    def campaign(self, number: int) -> Campaign:
        """Return a campaign, whose audience is written if it is not there yet."""
        name = campaign_name(number)
        csv = self.folder / f"{name}.csv"
        if not csv.exists():
            csv.write_text("email\n" + "\n".join(self.addresses(number)) + "\n")
        document: dict[str, Any] = {
            "name": name,
            "recipients": {"path": str(csv)},
            "message": {"sender": "n@example.com", "subject": "Hi", "text": "Hi {{ email }}"},
            "strategy": "percentage",
            "routes": self.variant.routes,
            "retry": {"first_delay_seconds": 0.1, "max_delay_seconds": 0.1},
            "processes": self.processes,
        }
        return Campaign.model_validate({**document, **self.variant.document})

    def connection(self, name: str, port: int) -> Connection:
        """Return a connection to a server on this port."""
        fields: dict[str, Any] = {
            "max_sessions": self.sessions,
            "messages_in_flight": self.in_flight,
            "timeout_seconds": 10,
        }
        fields |= self.variant.connections.get(name, {})
        return Connection(name, "127.0.0.1", port, Security.NONE, **fields)


def campaign_name(number: int) -> str:
    """Return the name of a campaign, which its addresses contain."""
    return f"chaos{number}"
