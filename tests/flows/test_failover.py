"""Standby connections in a run: subflows, report and event."""

from __future__ import annotations

import re
from pathlib import Path

from flows.support.events import Milestone
from tests.flows.conftest import Servers, save_block
from tests.flows.test_progress import told
from tests.flows.test_send_campaign import (
    assert_each_got_it_once_over_its_connection,
    document,
    received,
    run,
    subflows,
    write_csv,
)
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Everybody, Fault, Stage

NAME = "with standbys"
SUSPENDED = b"550 5.7.1 your account is suspended"


async def test_a_standby_takes_over_and_a_second_one_is_not_needed(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    standbys = [{"connection": name, "standby": True} for name in ("green", "blue")]
    campaign = document(
        write_csv(tmp_path / "r.csv", 100),
        name=NAME,
        strategy="single",
        routes=[{"connection": "red"}, *standbys],
        on_connection_down="reassign",
    )
    refusing = Settings(everybody=Everybody(20, Fault(Stage.MAIL, SUSPENDED)))
    with SmtpServer(refusing) as red:
        save_block("red", red, max_sessions=1)
        final = await run(campaign)
        servers = {**servers, "red": red}
        assert final.is_completed(), final.message
        assert received(servers) == {"red": 20, "green": 80}
        assert_each_got_it_once_over_its_connection(servers, state, 100)
    assert servers["blue"].sessions == 0
    said = {
        one.name: re.sub(r"in [\d.]+ s", "in <span> s", str(one.state and one.state.message))
        for one in await subflows(final)
    }
    assert said == {
        f"Send over red: 100 recipients of {NAME}": (
            f"red is down, 20 sent in <span> s: mail: {SUSPENDED.decode()}"
        ),
        f"Send over green: standby for {NAME}": "80 sent in <span> s",
        f"Send over blue: standby for {NAME}": "standby, not needed",
    }
    report = await final.aresult()
    numbers = [(one.connection, one.planned, one.recipients) for one in report.routes]
    assert numbers == [("red", 100, 20), ("green", 0, 80), ("blue", 0, 0)]
    handed_over = await told({Milestone.HANDED_OVER}, NAME)
    assert sum(one.payload["recipients"] for one in handed_over) == 80
    assert {(one.resource.id, one.payload["to"]) for one in handed_over} == {
        ("mailsluice.connection.red", "green")
    }
