"""The state database tells senders about moves between connections."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from mailsluice.core.moves import MoveReason
from mailsluice.store import Database
from mailsluice.store.handovers import HandoverRecords, MovesSoFar
from mailsluice.store.reassignment import reassign
from tests.integration.campaign_fixtures import Ledger, Sender, campaign, people


async def test_senders_read_who_may_get_recipients_and_what_has_moved(
    database: Database, tmp_path: Path
) -> None:
    """As long as the campaign's run lives; `first_recipient` is of the moves that are new."""
    document = campaign(tmp_path, people(20), ("red", "green"), on_connection_down="reassign")
    run = await asyncio.to_thread(Sender(database, tmp_path).prepare, document)
    try:
        records = HandoverRecords(database, run.id)
        assert not records.may_receive("green")
        records.publish({"green"})
        assert records.may_receive("green")
        assert not records.may_receive("red")
        assert records.moves("green") == MovesSoFar()

        to_green = {"green": Decimal(1)}
        reassign(database, run.id, "red", to_green, most=3, reason=MoveReason.LENT)
        first = records.moves("green")
        assert (first.in_all, first.received) == (3, 3)
        assert records.moves("red").in_all == 3
        assert records.moves("red").received == 0

        reassign(database, run.id, "red", to_green)
        second = records.moves("green", first.last_id + 1)
        assert (second.in_all, second.received) == (10, 10)
        assert first.first_recipient is not None
        assert second.first_recipient is not None
        assert second.first_recipient < first.first_recipient, "the last ones were lent first"
        Ledger(database).update(lease_until=0.0)
        assert not records.may_receive("green"), "the run has died"
    finally:
        await run.close()
