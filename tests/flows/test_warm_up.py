"""A connection that warms up, through the real flow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.loading import load_connections
from mailsluice.campaign.warm_up import OverCap, WarmUp
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, received, run, write_csv
from tests.flows.written import page


def ramp(**fields: Any) -> dict[str, Any]:
    """A warm-up that began yesterday: 10, and 13 today."""
    today = datetime.now(UTC).date()
    return {
        "start": today - timedelta(days=1),
        "daily_caps": [10, 13, 13],  # as many tomorrow: midnight may pass
        **fields,
    }


async def test_a_block_keeps_its_warm_up(servers: Servers) -> None:
    save_block("red", servers["red"], warm_up=ramp(over_cap="spill", spill_to="blue"))
    loaded = await load_connections(["red"])
    assert list(loaded) == ["red", "blue"]  # that it spills to as well
    assert loaded["red"].warm_up == WarmUp(**ramp(over_cap=OverCap.SPILL, spill_to="blue"))
    assert loaded["blue"].warm_up == WarmUp()


async def test_who_is_over_the_cap_goes_over_a_connection_that_is_no_route(
    tmp_path: Path, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    save_block("red", servers["red"], warm_up=ramp(over_cap="spill", spill_to="blue"))
    final = await run(document(write_csv(tmp_path / "r.csv", 100)))
    assert final.is_completed(), final.message
    assert received(servers) == {"red": 13, "green": 30, "blue": 57}
    assert "red warms up, at most 13 today" in caplog.text
    assert "57 of 70 go over blue" in caplog.text
    report = await page("campaign-spring-sale")
    assert "| red | 70 | 70.00% | 13 | 13 |" in report
    assert "| blue | 0 | 0.00% | 57 | 57 |" in report
    assert "| red | 70 | 57 | 0 | 13 |\n" in report
    assert "57 recipients went from red to blue: over the cap of red's warm-up" in report
    assert "| 13 | 13 |" in report
    digest = report.partition("Assignment digest: `")[2][:64]
    assert f"(digest {digest})" in caplog.text


async def test_a_connection_to_spill_to_that_there_is_not_is_refused(
    tmp_path: Path, servers: Servers
) -> None:
    save_block("red", servers["red"], warm_up=ramp(over_cap="spill", spill_to="nowhere"))
    final = await run(document(write_csv(tmp_path / "r.csv", 10)))
    assert final.is_failed()
    assert "there is no SMTP Connection block 'nowhere'" in str(final.message)
    assert received(servers) == {}
