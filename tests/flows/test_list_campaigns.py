"""The page of all campaigns, and the tags by which the UI's filter finds their runs."""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from flows.cancel_campaign import cancel_campaign
from flows.list_campaigns import list_campaigns
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import pages


async def tagged(*tags: str) -> dict[str, str]:
    """The names of the runs with all of these tags, by their ids."""
    having = FlowRunFilter(tags=FlowRunFilterTags(all_=list(tags)))
    async with get_client() as client:
        return {
            str(found.id): found.name
            for found in await client.read_flow_runs(flow_run_filter=having)
        }


async def test_one_page_lists_all_campaigns_and_links_their_runs(
    tmp_path: Path, servers: Servers
) -> None:
    path = write_csv(tmp_path / "r.csv", 10)
    assert (await run(document(path, name="listed one"))).is_completed()
    save_block("red", servers["red"], port=1)
    assert (await run(document(path, name="listed two"))).is_failed()
    *_, page = before = await pages("campaigns")
    assert "**1 waiting, 1 completed**" in page
    (first,) = [
        key for key, name in (await tagged("campaign:listed one")).items() if "Send" not in name
    ]
    assert f"| [listed one](../../runs/flow-run/{first}) | completed |" in page
    assert "[report](../../artifacts/key/campaign-listed-one) | 10 | 10 | - | 0 | 0 |" in page
    assert "| waiting | - |" in page
    assert "[report](../../artifacts/key/campaign-listed-two) | 10 | 3 | - | 0 | 0 |" in page
    await cancel_campaign("listed two", return_state=True)
    final = await list_campaigns(return_state=True)
    assert final.message == "1 completed, 1 cancelled"
    *_, page = after = await pages("campaigns")
    assert len(after) == len(before)  # in place of the one before
    assert "**1 completed, 1 cancelled**" in page
    names = set((await tagged("campaign:listed one", "connection:red")).values())
    assert names == {"listed one", "Send over red: 7 recipients of listed one"}
    assert "cancel listed two" in (await tagged("campaign:listed two")).values()
