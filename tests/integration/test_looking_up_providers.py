"""A launch looks up who hosts its recipients' mailboxes, and keeps the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.audience import hosting
from mailsluice.audience.hosting import LookUps
from mailsluice.audience.resolved import Audience
from mailsluice.campaign import Campaign, Resolve
from mailsluice.core.errors import CampaignError
from mailsluice.mailbox_providers import mail_hosts as asking
from mailsluice.operations import accounts, launch, mail_hosts
from mailsluice.operations.housekeeping import keep_house
from mailsluice.operations.nameservers import NAMESERVERS
from mailsluice.operations.plan import Plan
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, Providers
from mailsluice.store.mail_domains import MailDomain, MailDomains
from mailsluice.store.schema import mail_domains, recipients, rejects
from tests.databases import no_database
from tests.dns_server import CONTROLS, FAILING, SILENT, DnsServer, Zone, dns_server
from tests.integration.campaign_fixtures import campaign

NOW = launch.Occasion(datetime.now(UTC).date(), datetime.now(UTC))
ZONE: Zone = {
    **CONTROLS,
    "shop.example": {"MX": ["1 aspmx.l.google.com."]},
    "office.example": {"MX": ["0 office-example.mail.protection.outlook.com."]},
    "own.example": {"MX": ["10 mx1.hoster.net.", "20 mx2.other.net."]},
    "xn--bcher-kva.example": {"MX": ["10 mx9.hoster.net."]},
    "address.example": {"A": ["127.0.0.1"]},
    "null.example": {"MX": ["0 ."]},
    "bare.example": {"TXT": ['"nothing"']},
    "failing.example": {FAILING: []},
}
EMAILS = [
    "a@gmail.com",
    "b@googlemail.com",
    "c@shop.example",
    "d@office.example",
    "e@own.example",
    "f@bücher.example",
    "g@address.example",
    "h@null.example",
    "i@bare.example",
    "j@nowhere.example",
    "k@failing.example",
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """The name server that launches ask."""
    with dns_server(ZONE) as server:
        monkeypatch.setenv(NAMESERVERS, f"127.0.0.1:{server.port}")
        yield server


def document(folder: Path, *emails: str, **fields: Any) -> Campaign:
    return campaign(folder, emails or EMAILS, **{"resolve": "mx", **fields})


@contextmanager
def resolved(database: Database, of: Campaign) -> Iterator[Audience]:
    with launch.resolve_audience(of, database, no_database) as audience:
        yield audience


def launched(database: Database, of: Campaign) -> int:
    """Launch a campaign as the flow does; returns its id."""
    record = Campaigns(database).register(of.name, launch.content(of))
    with resolved(database, of) as audience:
        launch.store_audience(database, record.id, of, audience, NOW)
    return record.id


def planned(database: Database, of: Campaign) -> Plan:
    connections = {"red": Connection("red", "127.0.0.1", 25)}
    with resolved(database, of) as audience:
        return plan_launch(of, database, audience, connections, NOW)


def asked(server: DnsServer) -> set[str]:
    """The domains that the server was asked about, without those that check the server itself."""
    return {*server.questions} - {*CONTROLS}


def test_recipients_are_grouped_by_their_mail_servers_and_those_without_are_rejected(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    campaign_id = launched(database, document(tmp_path))

    names = Providers(database).of(campaign_id)
    with database.read() as connection:
        stored = connection.execute(sa.select(recipients.c.email, recipients.c.provider))
        by_address = {email: names[number] for email, number in stored}
        query = sa.select(rejects.c.email, rejects.c.reason).order_by(rejects.c.row)
        rejected = connection.execute(query).all()
    assert by_address == {
        "a@gmail.com": "google",
        "b@googlemail.com": "google",
        "c@shop.example": "google",
        "d@office.example": "microsoft-business",
        "e@own.example": "hoster.net",
        "f@xn--bcher-kva.example": "hoster.net",
        "g@address.example": "address.example",
        "k@failing.example": "unresolved",
    }
    assert Providers(database).counts(campaign_id) == {
        "google": 3,
        "hoster.net": 2,
        "address.example": 1,
        "microsoft-business": 1,
        "unresolved": 1,
    }
    assert rejected == [
        ("h@null.example", "no mail server"),
        ("i@bare.example", "no mail server"),
        ("j@nowhere.example", "no mail server"),
    ]
    assert "googlemail.com" not in asked(server)


def test_rejected_rows_are_on_every_page(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    plan = planned(database, document(tmp_path))
    assert plan.rejected["no mail server"] == 3
    assert "no mail server" in plan.markdown()
    launched(database, document(tmp_path))
    record = Campaigns(database).get("spring-sale")
    assert (record.no_mail_server, record.accepted, record.read_rows) == (3, 8, 11)
    assert stored_report(database, "spring-sale").rejected["no mail server"] == 3
    tallies = accounts.tally(database, "spring-sale")
    assert accounts.verify(tallies).is_conserved
    assert tallies.stored_rejects["no mail server"] == 3


def test_a_launch_after_its_plan_asks_only_for_what_nobody_answered(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    plan = planned(database, document(tmp_path))
    assert plan.look_ups == (
        "Mail servers of the domains: 0 known from earlier look-ups, 8 looked up now,"
        " 1 without an answer"
    )
    assert plan.look_ups in plan.markdown()
    assert "| Google |" in plan.markdown()
    with database.read() as connection:
        assert connection.execute(sa.select(recipients.c.id)).all() == []
    server.questions.clear()

    with resolved(database, document(tmp_path)) as audience:
        assert audience.look_ups == LookUps(8, 0, 1)
        (note,) = audience.notes()
    assert asked(server) == {"failing.example"}
    assert note.startswith("domains without an answer from name servers: 1.")

    server.questions.clear()
    with resolved(database, document(tmp_path, *EMAILS[:-1])) as audience:
        assert audience.look_ups == LookUps(8, 0, 0)
        assert audience.notes() == []
    assert not server.questions


def test_without_a_look_up_nothing_is_asked_and_nobody_is_rejected(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    campaign_id = launched(database, document(tmp_path, resolve="off"))
    assert Providers(database).counts(campaign_id) == {"unresolved": 9, "google": 2}
    assert Campaigns(database).get("spring-sale").no_mail_server == 0
    assert not server.questions


@pytest.mark.parametrize(("ttl", "kept"), [(0, 3_600), (7_200, 7_200), (2**31 - 1, 7 * 86_400)])
def test_answers_are_kept_from_an_hour_to_a_week(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ttl: int, kept: float
) -> None:
    before = database.moment().timestamp()
    with dns_server(ZONE, ttl) as server:
        monkeypatch.setenv(NAMESERVERS, f"127.0.0.1:{server.port}")
        with resolved(database, document(tmp_path, "c@shop.example", "j@nowhere.example")):
            pass
    after = database.moment().timestamp()
    with database.read() as connection:
        query = sa.select(mail_domains.c.domain, mail_domains.c.expires_at)
        expires = {row.domain: row.expires_at for row in connection.execute(query)}
    assert before + kept <= expires["shop.example"] <= after + kept
    # A denial does not say how long it holds.
    assert before + 3_600 <= expires["nowhere.example"] <= after + 3_600


def test_expired_answers_are_asked_again_and_deleted_by_housekeeping(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    cache = MailDomains(database)
    cache.record(
        [
            MailDomain("shop.example", "old.net", True, -1.0),
            MailDomain("own.example", "known.net", True, 60.0),
            MailDomain("gone.example", "old.net", False, -1.0),
        ]
    )

    with resolved(database, document(tmp_path, "a@shop.example", "b@own.example")) as audience:
        assert sorted(audience.hosted()) == ["google", "known.net"]
    assert asked(server) == {"shop.example"}

    (tmp_path / "archives").mkdir()
    keep_house(database, keep_days=30, folder=tmp_path / "archives", owner="a run")
    with database.read() as connection:
        kept = connection.execute(sa.select(mail_domains.c.domain).order_by("domain")).scalars()
        assert kept.all() == ["own.example", "shop.example"]


@pytest.mark.parametrize("control", [{}, {SILENT: []}, {FAILING: []}])
def test_a_resolver_that_does_not_know_large_providers_rejects_nobody(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    control: dict[str, list[str]],
) -> None:
    """It denies one of them, or knows none: a list is not rejected because of a broken network."""
    zone = {**ZONE, **{name: control for name in CONTROLS if control}}
    if control:
        monkeypatch.setattr(asking, "LOOKUP_SECONDS", 0.2)
    else:
        del zone["gmail.com"]
    with dns_server(zone) as server:
        monkeypatch.setenv(NAMESERVERS, f"127.0.0.1:{server.port}")
        with resolved(database, document(tmp_path)) as audience:
            assert len(audience) == len(EMAILS)
            assert ("no name server answered" in str(audience.notes())) == bool(control)
    denied = ["null.example", "nowhere.example"]
    assert MailDomains(database).find(denied) == {}


def test_when_the_time_is_up_recipients_count_as_other_domains(
    database: Database, server: DnsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mail_hosts, "SECONDS", 0.0)
    with resolved(database, document(tmp_path)) as audience:
        assert audience.hosted() == {"unresolved": 9, "google": 2}
        assert audience.look_ups == LookUps(0, 0, 9)


def test_of_too_many_domains_those_with_most_recipients_are_looked_up(
    database: Database, server: DnsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hosting, "MOST_DOMAINS", 1)
    emails = ["a@own.example", "b@shop.example", "c@shop.example", "d@office.example", "e@me.com"]
    with resolved(database, document(tmp_path, *emails)) as audience:
        assert audience.hosted() == {"google": 2, "unresolved": 2, "apple": 1}
        assert audience.look_ups == LookUps(0, 1, 2)
    assert asked(server) == {"shop.example"}


async def test_a_launch_in_a_running_event_loop_looks_up_too(
    database: Database, server: DnsServer, tmp_path: Path
) -> None:
    with resolved(database, document(tmp_path, "a@shop.example")) as audience:
        assert audience.hosted() == {"google": 1}


@pytest.mark.parametrize("given", ["dns.example", "127.0.0.1,nowhere", "127.0.0.1:0"])
def test_wrong_name_servers_are_refused_before_anything_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str
) -> None:
    monkeypatch.setenv(NAMESERVERS, given)
    with pytest.raises(CampaignError, match=r"MAILSLUICE_NAMESERVERS .* as in 10\.0\.0\.2,"):
        mail_hosts.hosted(database, Resolve.MX)
    mail_hosts.hosted(database, Resolve.OFF)  # which asks nobody


def test_the_cache_takes_any_number_of_domains_and_the_last_answer_counts(
    database: Database,
) -> None:
    cache = MailDomains(database)
    many = [MailDomain(f"d{i}.example", "a.net", True, 3_600.0) for i in range(20_001)]
    cache.record(many)
    cache.record([MailDomain("d7.example", "no mail", False, 3_600.0)])
    found = cache.find([one.domain for one in many] + ["unknown.example"])
    assert len(found) == len(many)
    assert {one.domain for one in found.values() if not one.accepts_mail} == {"d7.example"}
