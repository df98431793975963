"""resolve-uncertain and cancel-campaign: an operator decides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from flows.cancel_campaign import cancel_campaign
from flows.export_campaign import export_campaign
from flows.resolve_uncertain import resolve_uncertain
from flows.verify_campaign import verify_campaign
from mailsluice.core.status import RecipientStatus
from mailsluice.store import Campaigns, Database
from mailsluice.store.leases import LeaseRecord, Leases
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, rows, run, sent_to
from tests.smtpd import Settings, SmtpServer


def in_doubt(tmp_path: Path) -> dict[str, Any]:
    """A campaign whose server closes the link after the final dot of two of three messages."""
    csv = tmp_path / "r.csv"
    csv.write_text(
        "email\nfine@example.com\ndrop-at-dot.1@example.com\ndrop-at-dot.2@example.com\n"
    )
    return document(
        csv,
        message={"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        strategy="single",
        routes=[{"connection": "red"}],
    )


def statuses(state: Path) -> Counter[str]:
    return Counter(status for _, _, status in rows(state))


async def test_an_export_of_uncertain_recipients_resolves_them(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = in_doubt(tmp_path)
    await run(campaign)
    assert statuses(state) == {"sent": 1, "uncertain": 2}
    path = tmp_path / "doubt.csv"
    await export_campaign("spring-sale", str(path), statuses=[RecipientStatus.UNCERTAIN])
    path.write_text(path.read_text() + '"stranger@example.com","","","",,,"",,,""\n')
    final = await resolve_uncertain("spring-sale", "sent", path=str(path), return_state=True)
    assert final.message == (
        "2 recipients resolved as sent; 1 of the addresses are not uncertain recipients"
    )
    assert statuses(state) == {"sent": 3}
    assert (await verify_campaign("spring-sale", return_state=True)).is_completed()
    assert "stranger" not in caplog.text


async def test_recipients_to_be_resent_get_the_mail_with_the_next_run(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    campaign = in_doubt(tmp_path)
    await run(campaign)
    final = await resolve_uncertain(
        "spring-sale", "resend", emails=["drop-at-dot.1@example.com"], return_state=True
    )
    assert final.message == (
        "1 recipients resolved as resend; 1 are still uncertain; "
        "1 wait for the next run of the campaign"
    )
    with SmtpServer(Settings(faults={})) as server:
        save_block("red", server)
        await run(campaign)
        assert set(server.recipients) <= {"drop-at-dot.1@example.com"}
    assert statuses(state)["pending"] == 0


async def test_a_cancelled_campaign_is_not_sent_any_more(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    campaign = in_doubt(tmp_path)
    with SmtpServer() as gone:
        save_block("red", gone)
    assert (await run(campaign)).is_failed()
    final = await cancel_campaign("spring-sale", return_state=True)
    assert final.message == "cancelled: 0 of 3 had been sent, 3 recipients get no mail"
    save_block("red", servers["red"])
    again = await run(campaign)
    assert "cancelled is final" in str(again.message)
    assert not sent_to(servers)
    assert statuses(state) == {"cancelled": 3}
    assert (await verify_campaign("spring-sale", return_state=True)).is_completed()


async def test_a_campaign_that_is_being_sent_does_not_change(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    await run(in_doubt(tmp_path))
    with Database() as database:
        owner, read = "happy-otter (1234)", Leases.read
        Leases(database).acquire(Campaigns(database).get("spring-sale").id, owner)

        def renew_and_read(self: Leases, campaign_id: int) -> LeaseRecord:
            self.renew(campaign_id, owner)
            return read(self, campaign_id)

        with pytest.MonkeyPatch.context() as patch:  # the other run lives
            patch.setattr(Leases, "read", renew_and_read)
            cancelled = await cancel_campaign("spring-sale", return_state=True)
            resolved = await resolve_uncertain("spring-sale", "sent", return_state=True)
    assert cancelled.is_failed()
    assert "'happy-otter (1234)': press Cancel on that run" in str(cancelled.message)
    assert resolved.is_failed()
    assert statuses(state)["uncertain"] == 2


@pytest.mark.parametrize(
    "operation", [verify_campaign, export_campaign, resolve_uncertain, cancel_campaign]
)
def test_every_field_of_the_forms_is_flat_and_described(operation: Any) -> None:
    schema = parameter_schema(operation.fn).model_dump()
    for name, field in schema["properties"].items():
        assert field.get("description"), name
        assert "anyOf" not in field, name
        named = field.get("$ref", "").rpartition("/")[2]
        assert not named or "enum" in schema["definitions"][named], name
