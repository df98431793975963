"""Servers' replies suppress recipients while a campaign is sent, and for the next one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.reports.campaign import page
from mailsluice.store import Bounces, Database, Suppressions
from mailsluice.store.alerts import Alerts
from mailsluice.store.schema import bounces, rejects
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.test_sending_recovery import die
from tests.smtpd import Fault, SmtpServer, Stage

pytestmark = pytest.mark.takes_turns

NOBODY, POLICY, FULL, SPAM, LATE = (
    f"{name}@example.com" for name in ["nobody", "policy", "full", "spam", "late"]
)
FAULTS = {
    "nobody": Fault(Stage.RCPT, b"550 5.1.1 no such user"),
    "policy": Fault(Stage.RCPT, b"550 5.7.1 not from you"),
    "full": Fault(Stage.RCPT, b"452 4.2.2 mailbox full"),
    "spam": Fault(Stage.DOT, b"550 looks like spam"),
    "late": Fault(Stage.DOT, b"550 5.1.1 no such user after all"),
}
ONCE = {"max_attempts": 1, "first_delay_seconds": 1, "max_delay_seconds": 1}


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    """On both databases."""
    return Sender(database, tmp_path)


def kinds(database: Database) -> dict[str, tuple[str, str, str]]:
    """(kind, status, source) by address."""
    kept = bounces.c
    with database.read() as reader:
        rows = reader.execute(sa.select(kept.email, kept.kind, kept.status, kept.source)).all()
    assert len({row.email for row in rows}) == len(rows)
    return {row.email: (row.kind, row.status, row.source) for row in rows}


def listed(database: Database) -> dict[str, str]:
    return {one.email: one.reason for page in Suppressions(database).rows() for one in page}


@pytest.mark.parametrize("in_flight", [1, 5])
async def test_only_a_recipient_that_does_not_exist_is_suppressed_at_once(
    sender: Sender, tmp_path: Path, in_flight: int
) -> None:
    everybody = [NOBODY, POLICY, FULL, SPAM, LATE, *people(3)]
    with SmtpServer(faults=FAULTS) as server:
        red = connection("red", server, messages_in_flight=in_flight)
        document = campaign(tmp_path, everybody, retry=ONCE)
        await sender.send(document, [red])
        assert sender.ledger.states() == {"sent": 3, "failed": 5}
        assert kinds(sender.database) == {
            NOBODY: ("hard", "5.1.1", "smtp red"),
            LATE: ("hard", "5.1.1", "smtp red"),
            FULL: ("soft", "4.2.2", "smtp red"),
        }
        assert listed(sender.database) == {NOBODY: "bounced", LATE: "bounced"}

        later = campaign(tmp_path, everybody, name="summer", retry=ONCE)
        report = await sender.send(later, [red])
    assert report.rejected["suppressed"] == 2
    assert report.held_back == {"bounced": 2}
    assert "Suppressed 2: 2 bounced." in page(report)
    with sender.database.read() as reader:
        held = reader.execute(sa.select(rejects.c.email, rejects.c.detail)).all()
    assert {email for email, _ in held} == {NOBODY, LATE}
    assert all(detail.startswith("bounced: smtp red, 20") for _, detail in held)


async def test_five_campaigns_whose_mail_is_refused_for_now_suppress(
    sender: Sender, tmp_path: Path
) -> None:
    with SmtpServer(faults=FAULTS) as server:
        for number in range(5):
            assert listed(sender.database) == {}
            document = campaign(tmp_path, [FULL, *people(1)], name=f"week {number}", retry=ONCE)
            await sender.send(document, [connection("red", server)])
    assert listed(sender.database) == {FULL: "bounced"}
    assert Suppressions(sender.database).remove([FULL]).removed == 1
    assert Bounces(sender.database).suppress_soft([FULL]) == 0  # the row begins anew


async def test_a_delivery_in_between_restarts_the_count(sender: Sender, tmp_path: Path) -> None:
    for number in range(6):
        with SmtpServer(faults=FAULTS if number != 3 else {}) as server:
            document = campaign(tmp_path, [FULL], name=f"week {number}", retry=ONCE)
            await sender.send(document, [connection("red", server)])
    assert set(kinds_of_all(sender.database)) == {"soft"}
    assert listed(sender.database) == {}


def kinds_of_all(database: Database) -> list[str]:
    with database.read() as reader:
        return list(reader.execute(sa.select(bounces.c.kind)).scalars())


async def test_a_recipient_suppressed_meanwhile_is_reported_with_the_reason(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(3))
    run = await asyncio.to_thread(sender.prepare, document)
    try:
        Suppressions(sender.database).add(["user1@example.com"], reason="unsubscribed", source="x")
        with SmtpServer() as server:
            report = await sender.send_prepared(run, document, [connection("red", server)])
    finally:
        await run.close()
    assert report.suppressed_since == {"unsubscribed": 1}
    assert "Suppressed since the launch 1: 1 unsubscribed." in page(report)


async def test_an_exceeded_threshold_is_reported_once(sender: Sender, tmp_path: Path) -> None:
    with SmtpServer() as server:
        emails = [*people(58), *(f"550-at-rcpt.{i}@example.com" for i in range(2))]
        await sender.send(campaign(tmp_path, emails), [connection("red", server)])
    alerts = Alerts(sender.database)
    name, passed = alerts.due(1)
    assert (name, [str(one) for one in passed]) == (
        "spring-sale",
        ["2 hard bounces of 60 (3.33 %): more than 2 %"],
    )
    assert alerts.due(1) == ("spring-sale", [])
    later = Bounce("later", "user0@example.com", BounceKind.HARD, "", "", "x", 0.0, campaign_id=1)
    more = replace(later, key="more", email="user1@example.com")
    Bounces(sender.database).record([later, more])
    assert [one.threshold for one in alerts.due(1)[1]] == ["5"]


@pytest.mark.parametrize(
    ("dots", "replies", "bounced"),
    [
        (0, {}, {NOBODY}),  # it is sent to again, and refused again
        (1, {0: 550}, set()),  # the journal knows that the message was refused, but not why
    ],
)
async def test_a_recipient_refused_when_a_run_died_has_at_most_one_bounce(
    sender: Sender, tmp_path: Path, dots: int, replies: dict[int, int], bounced: set[str]
) -> None:
    document = campaign(tmp_path, [NOBODY])
    die(sender.prepare(document), claimed=1, dots=dots, replies=replies)
    with SmtpServer(faults=FAULTS) as server:
        for _ in range(2):
            await sender.send(document, [connection("red", server)])
    assert sender.ledger.states() == {"failed": 1}
    assert set(kinds(sender.database)) == set(listed(sender.database)) == bounced
