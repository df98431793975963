"""compare-connections: from real SMTP dialogues to a verdict on a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.compare_connections import compare_connections
from mailsluice.core.markdown import cell
from mailsluice.reports.comparison import Comparison
from tests.flows.conftest import save_block
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page
from tests.smtpd import Fault, SmtpServer, Stage

LATER = Fault(Stage.RCPT, b"450 4.2.0 try again later", times=1)


async def test_a_server_that_defers_more_is_found(
    tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    even = [{"connection": "red", "percent": 50}, {"connection": "green", "percent": 50}]
    greylisted = {f"user{i}": LATER for i in range(0, 1_000, 7)}
    campaign = document(
        write_csv(tmp_path / "r.csv", 1_000),
        routes=even,
        retry={"first_delay_seconds": 1, "max_delay_seconds": 1},
    )
    with SmtpServer(faults=greylisted) as red, SmtpServer() as green:
        save_block("red", red)
        save_block("green", green)
        sent = await run(campaign)
    assert sent.message == "1,000 of 1,000 sent"
    final = await ended(compare_connections, ["spring-sale"])
    assert final.is_completed()
    assert str(final.message).startswith("green's mail is deferred less than red's: 0.00% against")
    result = await final.aresult()
    assert isinstance(result, Comparison)
    assert result.campaigns == ["spring-sale"]
    assert {one.mail for one in result.rates} == {500}
    text = await page("comparison-spring-sale")
    assert f"**{cell(str(final.message))}**" in text
    assert "data:image/png;base64," in text
    assert "@" not in text
    assert "@d1.example.com" not in caplog.text


async def test_an_impossible_comparison_is_reported_without_a_stack_trace(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    final = await compare_connections(["autumn"], return_state=True)
    assert final.is_failed()
    assert "there is no campaign 'autumn'" in str(final.message)
    assert "Traceback" not in caplog.text
