"""The page of all campaigns: its states, numbers, links and marks of foreign text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from deployments.command.campaign_list import _end, laid_out
from mailsluice.core.status import CampaignStatus
from mailsluice.reports.overview import CampaignRow, Overview, State
from mailsluice.reports.overview.overview import pace, state_of

NOON = 1_796_040_000.0
RUN = "0d4cbf5e-8a6a-4a56-9d3c-2f0c4ad5cbb1"


def row(**fields: Any) -> CampaignRow:
    values: dict[str, Any] = {
        "name": "spring-sale",
        "state": State.COMPLETED,
        "planned": 1_000_000,
        "accepted": 998_001,
        "delivered": 990_000,
        "bounced": 1_234,
        "complained": 56,
        "per_second": 812.3,
        "ended_at": NOON,
        "expected_end": None,
    }
    return CampaignRow(**{**values, **fields})


@pytest.mark.parametrize(
    ("status", "is_run", "is_held", "state"),
    [
        (CampaignStatus.RESOLVING, True, False, State.RESOLVING),
        (CampaignStatus.RESOLVING, False, False, State.INTERRUPTED),
        (CampaignStatus.SENDING, True, True, State.SENDING),  # the other parts are sent
        (CampaignStatus.SENDING, False, False, State.INTERRUPTED),  # its run has died
        (CampaignStatus.READY, False, False, State.WAITING),
        (CampaignStatus.READY, False, True, State.HELD),
        (CampaignStatus.COMPLETED, True, True, State.COMPLETED),  # the run still concludes
        (CampaignStatus.CANCELLED, False, False, State.CANCELLED),
    ],
)
def test_a_state_says_whether_anybody_sends(
    status: CampaignStatus, is_run: bool, is_held: bool, state: State
) -> None:
    assert state_of(status, is_run=is_run, is_held=is_held) is state


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [
        (None, "-"),
        (0.0, "-"),
        (5_215.4, "5,215/s"),
        (10.0, "10/s"),
        (1.67, "100/min"),
        (0.01, "36/h"),
        (0.0005, "2/h"),
        (0.0001, "<1/h"),
    ],
)
def test_a_pace_is_in_the_unit_that_reads_well(per_second: float | None, shown: str) -> None:
    assert pace(per_second) == shown


def test_the_page_links_the_run_and_the_report_of_each_campaign() -> None:
    listed = Overview([row(run_id=RUN, is_reported=True), row(name="autumn")], 3, NOON)
    page = listed.markdown(["campaign-spring-sale", "campaign-autumn"])
    assert (
        f"| [spring-sale](../../runs/flow-run/{RUN}) | completed | 2026-11-30 12:00 |"
        " [report](../../artifacts/key/campaign-spring-sale) |"
        " 1,000,000 | 998,001 | 990,000 | 1,234 | 56 | 812/s |"
    ) in page
    assert "| autumn | completed |" in page
    assert page.count("](") == 2
    assert "**2 completed, 3 older ones not listed**, as of 2026-11-30 12:00 UTC" in page


def test_what_nobody_knows_is_not_a_zero() -> None:
    unknown = dict.fromkeys(("accepted", "delivered", "bounced", "complained", "per_second"))
    cells = row(**unknown, state=State.WAITING, ended_at=None).cells()
    assert cells == ["spring-sale", "waiting", "1,000,000", "-", "-", "-", "-", "-", "-"]


def test_a_campaign_that_is_sent_has_an_expected_end() -> None:
    sending = row(state=State.SENDING, ended_at=None, expected_end=NOON)
    assert sending.cells()[-1] == "about 2026-11-30 12:00"


@pytest.mark.parametrize(
    "name",
    ["a | b", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "**b** `c` ![d](e)"],
)
def test_a_hostile_name_is_text(name: str) -> None:
    from markdown_it import MarkdownIt

    listed = Overview([row(name=name, run_id=RUN)], 0, NOON)
    html = MarkdownIt("commonmark").enable("table").render(listed.markdown(["campaign-x"]))
    assert html.count("<a ") == 1
    assert f'href="../../runs/flow-run/{RUN}"' in html
    for mark in ("<img", "<strong>b", "<code>"):
        assert mark not in html
    assert html.count("<td") == 10


def test_only_what_nobody_sends_decides_whether_the_page_is_published_again() -> None:
    before = Overview([row(), row(state=State.SENDING, accepted=1)], 0, NOON)
    later = Overview([row(), row(state=State.SENDING, accepted=2)], 0, NOON + 5)
    other = Overview([row(accepted=3), row(state=State.SENDING, accepted=2)], 0, NOON + 5)
    assert before.settled == later.settled != other.settled


def test_the_list_fits_into_eighty_columns() -> None:
    console = Console(file=io.StringIO(), width=80)
    rows = [row(name="a-rather-long-name-of-a-campaign [/b]", state=State.INTERRUPTED).cells()]
    rows[0][-1] = _end(row(), NOON)
    assert rows[0][-1] == "30 Nov 12:00"
    assert _end(row(), NOON + 90 * 86_400) == "30 Nov 2026"
    console.print(laid_out("1 campaign", rows))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for whole in ("1,000,000", "998,001", "990,000", "1,234", "56", "812/s", "delivered", "compl."):
        assert whole in text
    folded = "".join(line[: lines[1].index("state")] for line in lines[2:])
    assert folded.replace(" ", "") == "a-rather-long-name-of-a-campaign[/b]"
