"""The verdict about a chaos run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from mailsluice.store.schema import bounces, recipients, suppressions
from tests.chaos.databases import opened
from tests.chaos.limits import overshot
from tests.chaos.plan import Plan
from tests.chaos.servers import received
from tests.chaos.variants import CONNECTIONS


@dataclass(frozen=True)
class Verdict:
    """The counts, after the last run."""

    plan: Plan
    kills: int
    lives: int
    states: Counter[str]
    lost: list[str]
    """Recipients not received by their server, nor recorded as refused or in doubt."""
    twice: list[str]
    astray: list[str]
    """Recipients received by a server that is not their connection's."""
    contradicted: list[str]
    """Recipients recorded as sent or refused, while the server says otherwise."""
    misjudged: list[str]
    """Recipients refused without one bounce and one suppression, or not refused but with one."""
    overshot: list[str]
    """The limits that were exceeded at the servers."""
    moved: int
    """How many recipients are on another connection than they were assigned to."""
    uncertain_by_fault: int
    """How many recipients have a link that breaks after the final dot, kills or not."""

    @property
    def uncertain_by_kills(self) -> int:
        return self.states["uncertain"] - self.uncertain_by_fault

    @property
    def bound(self) -> int:
        """How many recipients may be uncertain because of the kills.

        Each kill leaves at most the messages in flight of each session.
        """
        return self.kills * self.plan.sessions * self.plan.in_flight * len(CONNECTIONS)

    @property
    def is_good(self) -> bool:
        wrong = self.lost or self.twice or self.astray or self.contradicted or self.misjudged
        wrong = wrong or self.overshot
        finished = not (self.states.keys() - {"sent", "failed", "uncertain"})
        return not wrong and finished and 0 <= self.uncertain_by_kills <= self.bound

    def __str__(self) -> str:
        plan = self.plan
        wrongs = ("lost", "twice", "astray", "contradicted", "misjudged", "overshot")
        wrong = ", ".join(f"{name} {len(getattr(self, name))}" for name in wrongs)
        return (
            f"{plan.kind}: {plan.recipients:,} recipients, seed {plan.seed}, {self.kills} kills in"
            f" {self.lives} lives, {self.moved} moved: {dict(self.states)}; {wrong}; uncertain"
            f" because of the kills {self.uncertain_by_kills} (bound {self.bound}: kills x what is"
            " in flight)"
        )


def judge(plan: Plan, kills: int, lives: int) -> Verdict:
    """Compare what the servers have with what the database says."""
    messages = received(plan)
    at = {name: Counter(one.recipient for one in messages[name]) for name in messages}
    with opened(plan.database_url) as database, database.read() as reader:
        kept = recipients.c
        columns = (kept.email, kept.connection, kept.status, kept.reassigned_from)
        rows = reader.execute(sa.select(*columns)).all()
        bounced = Counter(reader.execute(sa.select(bounces.c.email)).scalars())
        suppressed = Counter(reader.execute(sa.select(suppressions.c.email)).scalars())
    home = {row.email: row.connection for row in rows}
    copies = {row.email: at[row.connection][row.email] for row in rows}
    explained = {"failed", "uncertain"}
    return Verdict(
        plan,
        kills,
        lives,
        states=Counter(row.status for row in rows),
        lost=[r.email for r in rows if not copies[r.email] and r.status not in explained],
        twice=[email for counts in at.values() for email, n in counts.items() if n > 1],
        astray=[email for name, counts in at.items() for email in counts if home[email] != name],
        contradicted=[
            r.email
            for r in rows
            if r.status in ("sent", "failed") and copies[r.email] != (r.status == "sent")
        ],
        misjudged=[
            r.email
            for r in rows
            if not bounced[r.email] == suppressed[r.email] == (r.status == "failed")
        ],
        moved=sum(row.reassigned_from is not None for row in rows),
        overshot=overshot(plan, messages),
        uncertain_by_fault=sum(r.email.startswith("drop-at-dot") for r in rows),
    )
