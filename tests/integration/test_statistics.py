"""Statistics of a report, compared with counts by pandas, on every database."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError
from mailsluice.core.status import RecipientStatus as Status
from mailsluice.events.event import DeliveryState
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.reports.campaign import ReplyCount, page
from mailsluice.reports.campaign.queries import TOP_DOMAINS, later_statistics, statistics
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.reports.providers.counts import MOST_SHOWN, ProviderTally
from mailsluice.store import (
    Campaigns,
    Database,
    Launches,
    RouteRecord,
)
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.schema import bounces, deliveries, recipients

NOON = 1_764_000_000.0
_STORED = ("status", "code", "reply", "settled_at")


def store(
    database: Database,
    rows: list[dict[str, Any]],
    name: str = "spring",
    providers: Mapping[str, int] | None = None,
) -> int:
    """A launched campaign over red and green whose recipients are as told; gives its id.

    A row has at least an email; `deferrals` are replies that came before; `provider` is a number
    of `providers`, 1 for the first.
    """
    campaigns = Campaigns(database)
    found = campaigns.register(name, {"message": {"subject": name}}).id
    frame = pd.DataFrame(
        {
            "email": [row["email"] for row in rows],
            "connection": [row.get("connection", "red") for row in rows],
            "variables": "{}",
            "provider": pd.array([row.get("provider") for row in rows], "Int16"),
        }
    )
    Launches(database).store_audience(found, [frame], [])
    assigned = frame["connection"].value_counts()
    Launches(database).finish(
        found,
        read_rows=len(rows),
        accepted=len(rows),
        rejected={},
        assigned=[RouteRecord(name, None, int(assigned.get(name, 0))) for name in ("red", "green")],
        digest="d",
        providers=providers,
    )
    told = [
        {"address": row["email"], "status": Status.PENDING, **dict.fromkeys(_STORED[1:]), **row}
        for row in rows
    ]
    values: dict[str, sa.BindParameter[Any]] = {key: sa.bindparam(key) for key in _STORED}
    mine = recipients.c.campaign_id == found
    of_one = sa.update(recipients).where(mine, recipients.c.email == sa.bindparam("address"))
    with database.write() as transaction:
        transaction.execute(of_one.values(values), [_only(values, row) for row in told])
        ids = sa.select(recipients.c.email, recipients.c.id).where(mine)
        numbers = {row.email: row.id for row in transaction.execute(ids)}
        deferred = [
            {
                "recipient_id": numbers[row["email"]],
                "at": NOON,
                "connection": row.get("connection", "red"),
                "phase": "rcpt",
                "verdict": "deferred",
                "code": 450,
                "reply": reply,
            }
            for row in rows
            for reply in row.get("deferrals", ())
        ]
        if deferred:
            transaction.execute(sa.insert(tables_of(database, found).attempts), deferred)
    return found


def _only(values: Mapping[str, object], row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in (*values, "address")}


def random_rows(seed: int, number: int = 400) -> list[dict[str, Any]]:
    """Recipients in thirty domains of unequal size, in all states, sent over some hours."""
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for i in range(number):
        status = chance.choice(list(Status))
        domain = int(chance.paretovariate(0.7)) % 30
        row: dict[str, Any] = {
            "email": f"user{i}@d{domain}.example.com",
            "connection": chance.choice(["red", "green"]),
            "status": status,
        }
        if status in (Status.SENT, Status.FAILED, Status.UNCERTAIN):
            row["settled_at"] = NOON + chance.uniform(0, chance.choice([100, 30_000]))
            row["reply"] = f"{chance.randrange(3)} for {row['email']}"
        row["deferrals"] = ["wait"] * chance.choice([0, 0, 0, 1, 2])
        rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_outcomes_by_domain_agree_with_pandas(database: Database, seed: int) -> None:
    rows = random_rows(seed)
    store(database, random_rows(seed + 100), "another")
    frame = pd.DataFrame(rows)
    frame["domain"] = frame["email"].str.partition("@")[2]
    sizes = frame["domain"].value_counts()
    largest = sorted(sizes.index, key=lambda domain: (-sizes[domain], domain))[:TOP_DOMAINS]
    frame["domain"] = frame["domain"].where(frame["domain"].isin(largest), "others")
    expected = frame.groupby(["domain", "connection", "status"]).size().to_dict()
    found = statistics(database, store(database, rows)).domains
    assert {
        (outcome.domain or "others", outcome.connection, outcome.status): outcome.recipients
        for outcome in found
    } == expected


@pytest.mark.parametrize("seed", range(4))
def test_the_pace_counts_each_message_in_its_bucket(database: Database, seed: int) -> None:
    rows = random_rows(seed)
    pace = statistics(database, store(database, rows)).pace
    assert pace is not None
    sent = [row for row in rows if row["status"] == Status.SENT]
    first = min(row["settled_at"] for row in sent)
    assert 0 <= first - pace.start < pace.bucket_seconds
    expected = Counter(
        (row["connection"], int((row["settled_at"] - pace.start) // pace.bucket_seconds))
        for row in sent
    )
    found = {
        (name, number): messages
        for name, counts in pace.sent.items()
        for number, messages in counts.items()
    }
    assert found == expected
    assert pace.buckets <= 201


def test_replies_of_failures_and_of_deferrals_are_counted(database: Database) -> None:
    refused: dict[str, Any] = {"status": Status.FAILED, "code": 550}
    rows = [
        {"email": "a@x.example", "reply": "no a@x.example here", **refused},
        {"email": "b@x.example", "reply": "no b@x.example here", **refused},
        {"email": "c@x.example", "reply": "the link broke", "status": Status.UNCERTAIN},
        {"email": "d@x.example", "reply": "queued", "status": Status.SENT, "deferrals": ["w", "w"]},
        {"email": "e@x.example", "deferrals": ["w"], "connection": "green"},
    ]
    store(database, [{"email": "f@x.example", "reply": "elsewhere", **refused}], "another")
    counted = statistics(database, store(database, rows))
    assert {(reply.text, reply) for reply in counted.replies} == {
        ("no a@b here", ReplyCount("x.example", "red", 550, "no a@b here", 2, 0)),
        ("the link broke", ReplyCount("x.example", "red", None, "the link broke", 1, 0)),
        ("w", ReplyCount("x.example", "red", 450, "w", 0, 2)),
        ("w", ReplyCount("x.example", "green", 450, "w", 0, 1)),
    }
    assert counted.other_replies == 0
    assert counted.put_off == {("x.example", "red"): 2, ("x.example", "green"): 1}


@pytest.mark.parametrize("seed", range(2))
def test_replies_and_deferrals_are_counted_by_domain(database: Database, seed: int) -> None:
    rows = random_rows(seed)
    counted = statistics(database, store(database, rows))
    largest = {domain.domain for domain in counted.domains}
    put_off: Counter[tuple[str | None, str]] = Counter()
    failed: Counter[str | None] = Counter()
    for row in rows:
        domain = row["email"].partition("@")[2]
        key = domain if domain in largest else None
        put_off[key, row["connection"]] += len(row["deferrals"])
        failed[key] += row["status"] in (Status.FAILED, Status.UNCERTAIN)
    assert len(largest) == TOP_DOMAINS + 1
    assert counted.put_off == {key: number for key, number in put_off.items() if number}
    for domain in largest:
        mine = [reply for reply in counted.replies if reply.group == domain]
        assert sum(reply.failed for reply in mine) == failed[domain]
        of_domain = sum(n for (name, _), n in put_off.items() if name == domain)
        assert sum(reply.deferred for reply in mine) == of_domain


def test_replies_with_the_same_beginning_are_counted_together(database: Database) -> None:
    rows = [
        {"email": f"u{i}@x.example", "status": Status.FAILED, "reply": f"{'no ' * 40}{i}"}
        for i in range(3)
    ]
    (found,) = statistics(database, store(database, rows)).replies
    assert found.failed == 3
    assert found.text == "no " * 40 + "0"


def test_rare_replies_are_only_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsluice.reports.campaign.queries.MOST_REPLIES", 2)
    texts = ["often"] * 3 + ["now and then"] * 2 + ["once", "once more"]
    rows = [
        {"email": f"u{i}@x.example", "status": Status.FAILED, "reply": text}
        for i, text in enumerate(texts)
    ]
    counted = statistics(database, store(database, rows))
    assert {reply.text: reply.failed for reply in counted.replies} == {
        "often": 3,
        "now and then": 2,
    }
    assert counted.other_replies == 2


def test_bounces_of_other_campaigns_are_not_counted(database: Database) -> None:
    found = store(database, [{"email": "a@x.example", "status": Status.SENT}])
    other = store(database, [{"email": "b@x.example"}], "another")
    kinds = [
        (found, "red", "hard"),
        (found, "red", "hard"),
        (found, "green", "complaint"),
        (found, None, "soft"),
        (other, "red", "soft"),
        (None, "red", "hard"),
    ]
    with database.write() as transaction:
        for i, (campaign_id, connection, kind) in enumerate(kinds):
            transaction.execute(
                sa.insert(bounces).values(
                    key=str(i),
                    email="a@x.example",
                    kind=kind,
                    status="5.1.1",
                    detail="no a@x.example",
                    source="mailbox",
                    at=NOON,
                    connection=connection,
                    campaign_id=campaign_id,
                )
            )
    assert statistics(database, found).bounces == {
        "red": {"hard": 2},
        "green": {"complaint": 1},
        "": {"soft": 1},
    }


def test_a_campaign_without_sent_mail_has_no_pace(database: Database) -> None:
    counted = statistics(database, store(database, [{"email": "a@x.example"}]))
    assert counted.pace is None
    assert counted.replies == []
    assert counted.bounces == {}


@pytest.mark.parametrize("seed", range(2))
def test_the_page_adds_up_and_shows_no_address(database: Database, seed: int) -> None:
    rows = random_rows(seed)
    found = store(database, rows)
    report = stored_report(database, "spring")
    for status in Status:
        assert report.of(status) == sum(row["status"] == status for row in rows)
    text = page(report)
    assert f"{report.of(Status.SENT):,} of 400 sent" in text
    counted = statistics(database, found)
    assert sum(domain.recipients for domain in counted.domains) == 400
    assert "@" not in text


def test_an_unknown_campaign_is_named(database: Database) -> None:
    with pytest.raises(OutboxError, match="there is no campaign 'autumn'"):
        stored_report(database, "autumn")


def random_providers(seed: int, number: int = 400) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Recipients at twenty providers, their counts at the launch, and their deliveries."""
    chance = random.Random(seed)
    rows = random_rows(seed, number)
    hosts = Counter(int(chance.paretovariate(0.6)) % 20 for _ in rows)
    names = [f"p{host}.example" for host, _ in hosts.most_common()]
    numbers = [
        number for number, (_, count) in enumerate(hosts.most_common(), 1) for _ in range(count)
    ]
    chance.shuffle(numbers)
    for row, number in zip(rows, numbers, strict=True):
        row["provider"] = number
        if row["status"] == Status.SENT:
            row["delivery"] = chance.choice([None, *DeliveryState])
            row["took"] = chance.choice([-2.0, 3.4, 70.0, 700.0, 80_000.0, 9e9])
    return rows, dict(zip(names, sorted(hosts.values(), reverse=True), strict=True))


def deliver(database: Database, campaign_id: int, rows: list[dict[str, Any]]) -> None:
    """Record the deliveries of the rows."""
    query = sa.select(recipients.c.email, recipients.c.id)
    with database.write() as transaction:
        stored = query.where(recipients.c.campaign_id == campaign_id)
        ids = {row.email: row.id for row in transaction.execute(stored)}
        for row in rows:
            if state := row.get("delivery"):
                is_there = state not in ("bounced", "dropped", "deferred")
                values: dict[str, Any] = {
                    "recipient_id": ids[row["email"]],
                    "campaign_id": campaign_id,
                    "connection": row.get("connection", "red"),
                    "rank": 1,
                    "at": NOON,
                    "state": state,
                    "failure": "",
                    "reply": row.get("said", ""),
                    "status": "",
                    "mailbox_provider": "",
                    "delivered_at": row["settled_at"] + row["took"] if is_there else None,
                }
                transaction.execute(sa.insert(deliveries).values(values))


@pytest.mark.parametrize("seed", range(3))
def test_outcomes_by_provider_agree_with_pandas(database: Database, seed: int) -> None:
    rows, providers = random_providers(seed)
    others, their_providers = random_providers(seed + 100)
    deliver(database, store(database, others, "another", their_providers), others)
    found = store(database, rows, providers=providers)
    deliver(database, found, rows)
    counts = statistics(database, found).providers
    frame = pd.DataFrame(rows)
    names = dict(enumerate(providers, 1))
    shown = frame["provider"].where(frame["provider"] <= MOST_SHOWN)
    frame["name"] = shown.map(names).astype(object).where(shown.notna(), "smaller")
    status, state = frame["status"], frame["delivery"].fillna("").astype(str)
    expected = pd.DataFrame(
        {
            "recipients": frame["email"].notna(),
            "attempted": status.isin([Status.SENT, Status.FAILED, Status.UNCERTAIN]),
            "accepted": status == Status.SENT,
            "deferred": frame["deferrals"].map(bool),
            "refused": status == Status.FAILED,
            "reported": state != "",
            "delivered": state.isin(["delivered", "unsubscribed", "complained"]),
            "bounced": state == "bounced",
            "complained": state == "complained",
        }
    )
    sums = expected.groupby([frame["name"], frame["connection"]]).sum()
    assert {
        (provider or "smaller", connection): tally
        for (provider, connection), tally in counts.tallies.items()
    } == {
        key: ProviderTally(*map(int, row))
        for key, row in zip(sums.index, sums.to_numpy(), strict=True)
    }
    assert counts.in_all.recipients == len(rows)
    arrived = frame[expected["delivered"]]
    for provider, took in counts.times.items():
        exact = sorted(arrived["took"][arrived["name"] == (provider or "smaller")].clip(lower=0))
        for percent, seconds in ((50, took.median_seconds), (95, took.p95_seconds)):
            nearest = exact[-(-len(exact) * percent // 100) - 1]
            assert seconds == pytest.approx(min(nearest, 30 * 86_400), abs=1, rel=0.05)
    assert set(counts.times) == {None if name == "smaller" else name for name in arrived["name"]}


def test_replies_are_told_apart_by_provider_and_else_by_domain(database: Database) -> None:
    """Many domains are Google's. A reply that came to a relay later is in the events."""
    failed: dict[str, Any] = {"status": Status.FAILED, "code": 550, "reply": "no"}
    sent: dict[str, Any] = {"status": Status.SENT, "settled_at": NOON, "took": 1.0}
    rows = [
        {"email": "a@gmail.com", "provider": 1, **failed},
        {"email": "b@hosted.example", "provider": 1, **failed},
        {"email": "c@b2b.example", "provider": 2, **failed},
        {"email": "d@gmail.com", "provider": 1, "deferrals": ["wait d@gmail.com"]},
        {
            "email": "e@gmail.com",
            "provider": 1,
            "delivery": DeliveryState.BOUNCED,
            "said": "550 no mailbox e@gmail.com",
            **sent,
        },
        {
            "email": "f@b2b.example",
            "provider": 2,
            "delivery": DeliveryState.DELIVERED,
            "said": "250 ok",
            **sent,
        },
    ]
    found = store(database, rows, providers={"google": 4, "unresolved": 2})
    deliver(database, found, rows)
    counted = statistics(database, found)
    assert {(one.group, one.text, one.failed, one.deferred) for one in counted.replies} == {
        ("google", "no", 2, 0),
        ("b2b.example", "no", 1, 0),
        ("google", "wait a@b", 0, 1),
    }
    assert counted.later_replies == [
        ReplyCount("google", "red", None, "550 no mailbox a@b", 0, 0, 1)
    ]
    later = later_statistics(database, found)
    assert (later.providers, later.replies) == (counted.providers, [])


@pytest.mark.parametrize("providers", [None, {"unresolved": 400}])
def test_a_campaign_of_which_no_provider_is_known_has_no_counts_of_them(
    database: Database, providers: dict[str, int] | None
) -> None:
    rows = [{**row, "provider": 1 if providers else None} for row in random_rows(7)]
    counted = statistics(database, store(database, rows, providers=providers))
    assert not counted.providers
    assert any("example.com" in str(reply.group) for reply in counted.replies)


def test_a_comparison_is_by_provider_and_else_by_domain(database: Database) -> None:
    """The mail to all domains of a provider is one stratum, in the campaigns that know it."""
    sent: dict[str, Any] = {"status": Status.SENT, "code": 250, "settled_at": NOON}
    domains = [("gmail.com", 1), ("hosted.example", 1), ("b2b.example", 2), ("b2b.example", None)]
    rows = [
        {"email": f"{i}@{domain}", "provider": number, **sent}
        for i, (domain, number) in enumerate(domains)
    ]
    ids = [
        store(database, rows, providers={"google": 2, "unresolved": 1}),
        store(database, [{**row, "provider": None} for row in rows], "older"),
    ]
    with database.write() as transaction:
        transaction.execute(sa.update(recipients).values(attempts=1))
    for found in ids:
        deliver(database, found, [{**rows[0], "delivery": DeliveryState.DELIVERED, "took": 9.0}])
    observed = observe(database, ["spring", "older"])
    mail = observed.counts.groupby(["campaign", "provider"])["mail"].sum()
    assert mail.to_dict() == {
        ("spring", "google"): 2,
        ("spring", "b2b.example"): 2,
        ("older", "gmail.com"): 1,
        ("older", "hosted.example"): 1,
        ("older", "b2b.example"): 2,
    }
    assert observed.delays is not None
    delays = observed.delays[["campaign", "provider", "seconds", "number"]]
    assert sorted(delays.itertuples(index=False, name=None)) == [
        ("older", "gmail.com", 9, 1),
        ("spring", "google", 9, 1),
    ]
