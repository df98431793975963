"""What a chaos run does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from mailsluice.campaign import Campaign
from mailsluice.smtp.connection import Connection, Security

CONNECTIONS = {"red": 50, "green": 30, "blue": 20}
"""Each with its percentage."""

FAULTS = ("450-at-rcpt-once", "550-at-rcpt", "drop-at-dot", "drop-at-rcpt-once", "421-at-dot-once")


@dataclass(frozen=True)
class Plan:
    """One chaos run, told by its seed."""

    recipients: int = 4_000
    kills: int = 20
    seed: int = 1
    database_url: str = ""
    folder: Path = Path()
    sessions: int = 3
    """Of each connection."""
    faulty: int = 0
    """So many of a thousand recipients have one of FAULTS."""
    messages_per_session: int | None = None
    """The servers end a session after so many."""
    in_flight: int = 1
    """Messages under way in one session at once."""
    processes: int = 1
    """How many processes of a run send; with several, half of the kills hit one of them."""

    def addresses(self) -> list[str]:
        """The audience."""
        chance = Random(self.seed)
        names = ("user", *FAULTS)
        weights = (1_000 - self.faulty, *[self.faulty / len(FAULTS)] * len(FAULTS))
        chosen = chance.choices(names, weights, k=self.recipients)
        return [f"{name}.{i}@d{i % 7}.example.com" for i, name in enumerate(chosen)]

    def out(self, name: str) -> Path:
        """Where a connection's server writes what it has accepted."""
        return self.folder / f"{name}.tsv"

    def campaign(self) -> Campaign:
        """The campaign; its audience is written at the same time."""
        csv = self.folder / "recipients.csv"
        if not csv.exists():
            csv.write_text("email\n" + "\n".join(self.addresses()) + "\n")
        return Campaign.model_validate(
            {
                "name": "chaos",
                "recipients": {"path": str(csv)},
                "message": {"sender": "n@example.com", "subject": "Hi", "text": "Hi {{ email }}"},
                "strategy": "percentage",
                "routes": [{"connection": n, "percent": p} for n, p in CONNECTIONS.items()],
                "retry": {"first_delay_seconds": 0.1, "max_delay_seconds": 0.1},
                "processes": self.processes,
            }
        )

    def connection(self, name: str, port: int) -> Connection:
        """How to reach a connection's server."""
        return Connection(
            name,
            "127.0.0.1",
            port,
            Security.NONE,
            max_sessions=self.sessions,
            messages_in_flight=self.in_flight,
            timeout_seconds=10,
        )
