"""message-log by Prefect: what a run writes, and that the next one goes on from there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson

from flows.message_log import message_log
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv


async def test_runs_write_each_outcome_once(tmp_path: Path, servers: Servers, state: Path) -> None:
    file = tmp_path / "messages.ndjson"
    begun = await message_log(file=str(file), addresses="hashed", return_state=True)
    assert begun.message == "0 lines written"
    await run(document(write_csv(tmp_path / "r.csv", 20)))
    final = await message_log(file=str(file), addresses="hashed", return_state=True)
    assert final.is_completed()
    assert final.message == "20 lines written: 20 Delivery"
    records = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    by_connection = Counter(record["egress_source"] for record in records)
    assert by_connection == Counter(
        {name: len(server.received) for name, server in servers.items()}
    )
    ids = {record["id"] for record in records}
    sent = {one.message_id for server in servers.values() for one in server.received}
    assert {name.strip("<>").partition("@")[0] for name in sent} == ids
    again = await message_log(file=str(file), addresses="hashed", return_state=True)
    assert again.message == "0 lines written"


async def test_what_is_missing_is_said(state: Path) -> None:
    nowhere = await message_log(return_state=True)
    assert "name one of the two" in str(nowhere.message)
    no_secret = await message_log(redis_stream="mail", redis_secret="missing", return_state=True)
    assert "there is no Secret block 'missing'" in str(no_secret.message)
