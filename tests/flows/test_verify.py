"""verify-campaign: its message and its page."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows.verify_campaign import verify_campaign
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page


async def test_a_sent_campaign_is_conserved_until_a_recipient_is_lost(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await run(document(write_csv(tmp_path / "r.csv", 10)))
    final = await verify_campaign("spring-sale", return_state=True)
    assert final.is_completed()
    assert final.message == "conserved: 10 accepted = 10 sent"
    assert "| red | 7 | 0 | 0 | 7 |" in await page("verification-spring-sale")
    assert "@" not in await page("verification-spring-sale")
    assert "@d1.example.com" not in caplog.text

    with closing(sqlite3.connect(state)) as by_hand:
        by_hand.execute("DELETE FROM recipients WHERE id IN (SELECT min(id) FROM recipients)")
        by_hand.commit()
    final = await verify_campaign("spring-sale", return_state=True)
    assert final.is_failed()
    assert str(final.message).startswith("not conserved: 1 recipients differ: 10 were accepted")
    assert "10 were accepted, but 9 are stored | 1 |" in await page("verification-spring-sale")


async def test_an_unknown_campaign_is_named_without_a_stack_trace(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    final = await verify_campaign("autumn", return_state=True)
    assert final.is_failed()
    assert "there is no campaign 'autumn'" in str(final.message)
    assert "Traceback" not in caplog.text
