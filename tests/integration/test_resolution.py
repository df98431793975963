"""Decisions about uncertain recipients, and the end of a campaign, on every database."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import AudienceError, CampaignBusyError, OutboxError
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery import CampaignRun
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Action, LedgerError
from mailsluice.store import Campaigns, Database, History, Settled
from mailsluice.store.schema import attempts, campaigns, recipients
from tests.integration.accounts_fixtures import (
    campaign,
    claim,
    execute,
    make_uncertain,
    settle,
    states,
    store,
    verified,
)


async def resolve(
    database: Database, home: Path, action: Action, named: list[str] | None = None
) -> accounts.Resolved:
    return await accounts.resolve_uncertain(
        database, "spring", action, named, owner="an operator", home=home
    )


class TestResolution:
    @pytest.mark.parametrize(
        ("action", "becomes", "ends"),
        [
            (Action.SENT, "sent", CampaignStatus.COMPLETED),
            (Action.FAILED, "failed", CampaignStatus.COMPLETED),
            (Action.RESEND, "pending", CampaignStatus.READY),
        ],
    )
    async def test_uncertain_recipients_get_the_operators_decision(
        self,
        database: Database,
        tmp_path: Path,
        action: Action,
        becomes: str,
        ends: CampaignStatus,
    ) -> None:
        outbox = store(database, 3)
        make_uncertain(database, outbox, 10)
        others = sa.update(recipients).where(recipients.c.status == "pending")
        execute(database, others.values(status="failed", code=550, reply="no"))
        Campaigns(database).set_status(1, CampaignStatus.COMPLETED)
        done = await resolve(database, tmp_path, action)
        assert (done.changed, done.left, done.not_found) == (2, 0, 0)
        assert done.open == (2 if action is Action.RESEND else 0)
        assert states(database) == {"user0": becomes, "user1": "failed", "user2": becomes}
        assert Campaigns(database).get("spring").status is ends
        assert verified(database).is_conserved
        with database.read() as connection:
            history = connection.execute(
                sa.select(attempts.c.phase, attempts.c.verdict).order_by(attempts.c.id)
            ).all()
            replies = connection.execute(
                sa.select(recipients.c.reply, recipients.c.attempts).where(
                    recipients.c.code.is_(None)
                )
            ).all()
        assert history[-2:] == [("operator", action.value)] * 2
        assert all(reply.startswith("resolved by an operator: ") for reply, _ in replies)
        assert [number for _, number in replies] == [1, 1]

    async def test_only_given_addresses_are_resolved(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database)
        make_uncertain(database, outbox, 3)
        named = [" user0@EXAMPLE.com", "user0@example.com", "user1@example.com", "nonsense", ""]
        done = await resolve(database, tmp_path, Action.SENT, named)
        assert (done.changed, done.left, done.not_found) == (1, 2, 2)
        assert states(database)["user0"] == "sent"
        assert states(database)["user1"] == "pending"

    async def test_an_empty_list_of_addresses_resolves_nothing(
        self, database: Database, tmp_path: Path
    ) -> None:
        make_uncertain(database, store(database), 3)
        assert (await resolve(database, tmp_path, Action.SENT, [])).changed == 0

    async def test_a_repeated_decision_changes_nothing(
        self, database: Database, tmp_path: Path
    ) -> None:
        make_uncertain(database, store(database), 3)
        await resolve(database, tmp_path, Action.SENT)
        again = await resolve(database, tmp_path, Action.FAILED)
        assert again.changed == 0
        assert "failed" not in states(database).values()

    async def test_recipients_to_send_to_again_are_claimed_by_the_next_run(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database)
        make_uncertain(database, outbox, 1)
        await resolve(database, tmp_path, Action.RESEND)
        first = claim(database, outbox, 1)[0]
        assert first.email == "user0@example.com"
        assert first.attempts == 1
        with database.read() as connection:
            begun = sa.select(sa.func.count(recipients.c.first_attempt_at))
            assert connection.execute(begun).scalar_one() == 0  # its age counts anew

    async def test_recipients_of_a_dead_run_are_resolved_too(
        self, database: Database, tmp_path: Path
    ) -> None:
        claim(database, store(database), 2)
        assert (await resolve(database, tmp_path, Action.SENT)).changed == 2

    async def test_a_cancelled_campaign_is_not_sent_again(
        self, database: Database, tmp_path: Path
    ) -> None:
        make_uncertain(database, store(database), 1)
        await accounts.cancel_campaign(database, "spring", owner="operator", home=tmp_path)
        with pytest.raises(LedgerError, match="cancelled is final"):
            await resolve(database, tmp_path, Action.RESEND)
        assert (await resolve(database, tmp_path, Action.SENT)).changed == 1
        assert Campaigns(database).get("spring").status is CampaignStatus.CANCELLED

    async def test_a_decision_is_refused_while_a_run_sends(
        self, database: Database, tmp_path: Path
    ) -> None:
        make_uncertain(database, store(database), 1)
        document = campaign()
        run = CampaignRun(
            database, document, launch.content(document), owner="a run", home=tmp_path
        )
        try:
            with pytest.raises(CampaignBusyError, match="a run"):
                await resolve(database, tmp_path, Action.SENT)
            with pytest.raises(CampaignBusyError, match="a run"):
                await accounts.cancel_campaign(database, "spring", owner="me", home=tmp_path)
        finally:
            await run.close()
        assert states(database)["user0"] == "uncertain"

    def test_a_file_of_addresses_is_read_by_its_column(self, tmp_path: Path) -> None:
        path = tmp_path / "export.csv"
        path.write_text("Mail,x\na@example.com,1\nb@example.com,2\n")
        source = RecipientSource(path=str(path), email_column="Mail")
        assert accounts.read_addresses(source) == ["a@example.com", "b@example.com"]
        with pytest.raises(AudienceError):
            accounts.read_addresses(RecipientSource(path=str(path)))


class TestCancellation:
    async def test_waiting_recipients_are_cancelled_and_outcomes_stay(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database)
        first, second, third, _ = claim(database, outbox)
        settle(
            database,
            outbox,
            [
                Settled(first.id, RecipientStatus.SENT, 1, 250, "ok"),
                Settled(second.id, RecipientStatus.DEFERRED, 1, 450, "later", 60.0),
                Settled(third.id, RecipientStatus.UNCERTAIN, 1, history=History("a", "body", "u")),
            ],
        )
        done = await accounts.cancel_campaign(database, "spring", owner="operator", home=tmp_path)
        # The fourth says sending, and no journal tells more: nobody can know.
        assert (done.accepted, done.sent, done.cancelled) == (8, 1, 5)
        assert Campaigns(database).get("spring").status is CampaignStatus.CANCELLED
        assert verified(database).summary() == (
            "conserved: 8 accepted = 1 sent + 2 uncertain + 5 cancelled"
        )

    async def test_a_completed_campaign_stays_completed(
        self, database: Database, tmp_path: Path
    ) -> None:
        outbox = store(database, 1)
        row = claim(database, outbox)[0]
        settle(database, outbox, [Settled(row.id, RecipientStatus.SENT, 1, 250, "ok")])
        Campaigns(database).set_status(1, CampaignStatus.COMPLETED)
        done = await accounts.cancel_campaign(database, "spring", owner="operator", home=tmp_path)
        assert done.before is CampaignStatus.COMPLETED
        assert Campaigns(database).get("spring").status is CampaignStatus.COMPLETED

    async def test_an_interrupted_launch_can_be_cancelled(
        self, database: Database, tmp_path: Path
    ) -> None:
        store(database)
        execute(database, sa.update(campaigns).values(status="resolving", accepted=0, read_rows=0))
        execute(database, sa.update(campaigns).values(invalid=0, duplicates=0))
        done = await accounts.cancel_campaign(database, "spring", owner="operator", home=tmp_path)
        assert (done.accepted, done.cancelled) == (0, 0)
        assert verified(database).summary() == "conserved: 0 accepted = none"

    async def test_an_unknown_campaign_is_named(self, database: Database, tmp_path: Path) -> None:
        with pytest.raises(OutboxError, match="there is no campaign 'autumn'"):
            await accounts.cancel_campaign(database, "autumn", owner="operator", home=tmp_path)
