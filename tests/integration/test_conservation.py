"""The numbers on every page about a campaign add up, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mailsluice.campaign import Campaign
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.errors import CampaignError
from mailsluice.core.moves import placed
from mailsluice.core.status import OPEN, RecipientStatus
from mailsluice.delivery import CampaignRun, RouteResult
from mailsluice.limits import limits
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.plan import plan
from mailsluice.reports.campaign import page
from mailsluice.reports.campaign.queries import statistics
from mailsluice.reports.campaign.report import named
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.reports.comparison import Question, compare
from mailsluice.reports.progress import Binding, Cause, Page, Standing, Tally
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database, History, Settled, Suppressions
from mailsluice.store.schema import recipients
from tests.databases import no_database
from tests.integration.campaign_fixtures import Sender, campaign, gives_up
from tests.thorough import examples

NAMES = ("a", "b", "c")
DOMAINS = ("gmail.com", "web.de", "example.com")
SENT, DEFERRED, FAILED, UNCERTAIN = (
    RecipientStatus.SENT,
    RecipientStatus.DEFERRED,
    RecipientStatus.FAILED,
    RecipientStatus.UNCERTAIN,
)
OUTCOMES = {
    SENT: ("body", "accepted", 250),
    DEFERRED: ("rcpt", "deferred", 450),
    FAILED: ("rcpt", "failed", 550),
    UNCERTAIN: ("body", "uncertain", None),
}
numbers = count()


class Life:
    """A campaign, the events of its life, and the numbers on its pages."""

    def __init__(self, database: Database, folder: Path, document: Campaign, **ramp: Any) -> None:
        self.database = database
        self.document = document
        self.warm_ups = {"b": WarmUp(**ramp)} if ramp else {}
        self.names = [*dict.fromkeys([*(route.connection for route in document.routes), *NAMES])]
        self._look_at_the_plan()
        self.sender = Sender(database, folder, warm_ups=self.warm_ups)
        self.run: CampaignRun = self.sender.prepare(document)
        self.run.count()
        self.since: dict[str, Tally] = {}

    def _look_at_the_plan(self) -> None:
        occasion = launch.Occasion(self.today, self.database.moment(), self.warm_ups)
        with launch.resolve_audience(self.document, self.database, no_database) as audience:
            placement = launch.decide(self.database, self.document, audience, occasion)
            connections = {
                name: Connection(name, "127.0.0.1", 25, warm_up=self.warm_ups.get(name, WarmUp()))
                for name in placement.connections
            }
            found = plan(
                self.document,
                placement,
                connections,
                read_rows=audience.read,
                rejected={},
                held_back={},
                digest="",
                starts_at=occasion.moment,
            )
        assert sum(connection.assigned for connection in found.connections) == found.accepted
        assert sum(connection.count for connection in found.connections) == found.accepted
        self.planned = {connection.connection: connection.count for connection in found.connections}

    @property
    def today(self) -> Any:
        return datetime.now(UTC).date()

    def send(self, connection: str, number: int, outcome: RecipientStatus) -> None:
        """Claim recipients of a connection, and settle them with this outcome."""
        phase, verdict, code = OUTCOMES[outcome]
        delay = 3_600.0 if outcome is DEFERRED else None
        history = None if outcome is SENT else History(connection, phase, verdict)
        with self.database.write() as transaction:
            claimed = self.run.outbox.claim(transaction, connection, number)
            settled = [
                Settled(
                    recipient.id,
                    outcome,
                    recipient.attempts + 1,
                    code,
                    f"{code} said",
                    delay,
                    history,
                )
                for recipient in claimed
            ]
            self.run.outbox.settle(transaction, settled)
        new = Tally(
            sent=len(claimed) if outcome is SENT else 0,
            failed=len(claimed) if outcome is FAILED else 0,
            uncertain=len(claimed) if outcome is UNCERTAIN else 0,
        )
        self.since[connection] = self.since.get(connection, Tally()) + new
        elsewhere = {
            name: Standing(name, tally, Binding(Cause.FREE)) for name, tally in self.since.items()
        }
        self.run._tracker.set_elsewhere(elsewhere)  # as of senders in other processes

    def suppress(self, number: int) -> None:
        """Suppress the first waiting recipients."""
        query = sa.select(recipients.c.email).where(
            recipients.c.campaign_id == self.run.id,
            recipients.c.status == RecipientStatus.PENDING,
        )
        with self.database.read() as reader:
            emails = list(reader.execute(query.limit(number)).scalars())
        Suppressions(self.database).add(emails, reason="unsubscribed", source="test")

    def give_up(self, connection: str) -> None:
        self.run._results = {connection: RouteResult(connection, 0.0, 0, "gone")}
        gives_up(self.run, connection)
        self._begin()

    def cancel(self) -> None:
        self.run.cancel()
        self.retry()

    def retry(self) -> None:
        """Continue the campaign in a new run."""
        asyncio.run(self.run.close())
        self.run = self.sender.prepare(self.document)
        self._begin()

    def _begin(self) -> None:
        self.run.count()
        self.since = {}

    async def look_at_the_pages(self) -> None:
        """The numbers of all pages at this moment."""
        self._look_at_the_report()
        self._look_at_the_books()
        self._look_at_the_comparison()
        await self._look_at_the_progress()
        self._look_at_the_shares()

    def _look_at_the_report(self) -> None:
        report = stored_report(self.database, self.document.name)
        report = replace(report, statistics=statistics(self.database, self.run.id))
        text = page(report)
        *rows, total = table(text, "Connections")
        for row in rows:
            statuses = sum(number(row[named(status)]) for status in report.shown)
            here = number(row.get("recipients", row["assigned"]))
            assert here == statuses
            assert number(row["sent"]) <= here
        moved = "Moved to another connection"
        for row in table(text, moved) if f"## {moved}" in text else ():
            away, came = number(row["moved away"]), number(row["moved here"])
            assert number(row["assigned"]) - away + came == number(row["recipients"])
            assert [row["assigned"], row["recipients"]] in [
                [row["assigned"], row["recipients"]] for row in rows
            ]
        for name in set(total) - {"connection", "share", "sent share"}:
            assert number(total[name]) == sum(number(row[name]) for row in rows), name
        assert number(total["assigned"]) == report.accepted
        by_connection = {
            row["connection"]: number(row.get("recipients", row["assigned"])) for row in rows
        }
        for name, here in by_connection.items():
            domains = [row for row in table(text, "Recipient domains") if row["connection"] == name]
            assert sum(number(row["recipients"]) for row in domains) == here
            for row in domains:
                parts = sum(number(row[title]) for title in row if title in PARTS)
                assert parts == number(row["recipients"])

    def _look_at_the_books(self) -> None:
        tallies = accounts.tally(self.database, self.document.name)
        found = accounts.verify(tallies)
        assert found.is_conserved, found.summary()
        rows = table(found.markdown(), "Connections")
        for row in rows:
            away, here = number(row["moved away"]), number(row["moved here"])
            assert number(row["assigned"]) - away + here == number(row["now"])
        assert sum(number(row["now"]) for row in rows) == tallies.accepted
        moves = self.run.campaigns.moves(self.run.id)  # as recorded, and as the rows say
        assert {
            name: here for name, here in placed(tallies.assigned, moves).items() if here
        } == tallies.by_connection()

    def _look_at_the_comparison(self) -> None:
        try:
            observed = observe(self.database, [self.document.name])
        except LedgerError:  # nothing was sent yet
            return
        counts = self.run.outbox.counts()
        for rate in compare(observed, Question()).rates:
            assert rate.events <= rate.mail
            assert rate.mail <= counts.of(connection=rate.connection)
        totals = observed.counts[["mail", "moved", "uncertain"]].sum().sum()
        with self.database.read() as reader:
            tried = sa.select(sa.func.count()).where(
                recipients.c.campaign_id == self.run.id, recipients.c.attempts > 0
            )
            assert totals == reader.execute(tried).scalar_one()

    async def _look_at_the_progress(self) -> None:
        progress = await self.run.progress()
        counts = self.run.outbox.counts()
        assert progress.tally.assigned == counts.accepted
        for standing in progress.standings:
            stored = Tally.of(counts.by_connection.get(standing.connection, {}))
            assert standing.tally.sent <= standing.tally.assigned
            known = replace(standing.tally, ended=stored.ended)  # found out at the end of a run
            assert known == stored, standing.connection
            total = (
                standing.tally.sent
                + standing.tally.failed
                + standing.tally.uncertain
                + standing.tally.ended
            )
            assert total + standing.tally.left == standing.tally.assigned
        text = Page(progress, {}, datetime.now(UTC), SendingWindow()).campaign()
        assert text.startswith(f"{progress.tally.sent:,} of {counts.accepted:,} sent")

    def _look_at_the_shares(self) -> None:
        shares = self.run.campaigns.shares(self.run.id)
        assert abs(sum(shares.values(), Decimal(-1))) < Decimal("1e-20")
        assert all(share >= 0 for share in shares.values())
        rules = self.run._rule_book.rules(Connection("a", "127.0.0.1", 25))
        whole = rules.connection[f"campaign {self.run.id}"].limits  # binds all of them together
        assert whole == limits(self.document.throttle)


PARTS = ("sent", "still waiting", "failed", "other")


def number(text: str) -> int:
    return int(text.replace(",", ""))


def table(text: str, heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading, or of the page."""
    below = text.partition(f"## {heading}\n")[2] if heading else text
    rows: list[list[str]] = []
    for line in below.split("\n## ")[0].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    head, _, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, new_sqlite: Callable[[Path], str]
) -> Iterator[tuple[Database, Path]]:
    folder = tmp_path_factory.mktemp("conservation")
    with Database(new_sqlite(folder / "state.db")) as database:
        yield database, folder


percents = st.lists(st.integers(1, 30), min_size=2, max_size=2).map(
    lambda two: [*two, 100 - sum(two)]
)
providers = {"per_provider": st.just([{"provider": "*", "first_day": 3}])}
ramps: SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"first_day": st.integers(1, 20)}, optional=providers),
    st.fixed_dictionaries(
        {
            "first_day": st.integers(1, 20),
            "over_cap": st.just("spill"),
            "spill_to": st.sampled_from(["a", "spare"]),
        },
        optional=providers,
    ),
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from([*NAMES, "spare"]),
            st.integers(1, 20),
            st.sampled_from([*OUTCOMES]),
        ),
        st.tuples(st.just("suppress"), st.integers(1, 5)),
        st.tuples(st.just("give_up"), st.sampled_from([*NAMES, "spare"])),
        st.tuples(st.just("retry")),
        st.tuples(st.just("cancel")),
    ),
    max_size=8,
)


@pytest.mark.parametrize("strategy", ["percentage", "round_robin"])
@settings(
    max_examples=examples(20),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink one takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(size=st.integers(1, 60), shares=percents, ramp=ramps, steps=steps)
def test_the_numbers_on_all_pages_add_up(
    kept: tuple[Database, Path],
    strategy: str,
    size: int,
    shares: Sequence[int],
    ramp: Mapping[str, Any],
    steps: Sequence[tuple[Any, ...]],
) -> None:
    database, folder = kept
    mine = next(numbers)  # addresses of its own: others are on the list
    emails = [f"user{mine}-{i}@{DOMAINS[i % 3]}" for i in range(size)]
    routes = [
        {"connection": name, **({"percent": share} if strategy == "percentage" else {})}
        for name, share in zip(NAMES, shares, strict=True)
    ]
    document = campaign(
        folder,
        emails,
        NAMES,
        name=f"campaign {mine}",
        routes=routes,
        strategy=strategy,
        throttle={"per_hour": 6_000},
    )
    start = datetime.now(UTC).date() - timedelta(days=1)
    more = {"start": start, "until": start + timedelta(days=60), "growth": 1} if ramp else {}
    life = Life(database, folder, document, **more, **ramp)
    try:
        asyncio.run(_live(life, steps))
    finally:
        asyncio.run(life.run.close())


async def _live(life: Life, steps: Sequence[tuple[Any, ...]]) -> None:
    progress = await life.run.progress()
    assert {
        standing.connection: standing.tally.assigned for standing in progress.standings
    } == life.planned
    await life.look_at_the_pages()
    for name, *arguments in steps:
        try:
            await asyncio.to_thread(getattr(life, name), *arguments)
        except CampaignError:
            return
        await life.look_at_the_pages()
    assert life.run.outbox.counts().of(*OPEN) >= 0
