"""What a process loads before it runs a flow: every run of a worker pays for it.

Lists what may be loaded beside Prefect and the standard library. What only some runs need (a
launch, a report, an export) is imported where it begins.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import version

import pytest

from deployments.catalogue import catalogue

OWN = {"blocks", "flows", "mailsluice", "tasks"}
EVERY_FLOW = {
    *OWN,
    "prefect",
    "pydantic",
    "sqlalchemy",
    "aiosmtplib",
    "uvloop",
    "jinja2",
    "markupsafe",
    *(["greenlet"] if version("sqlalchemy").startswith("2.0.") else []),  # 2.1 does without
}
TABLES = {"numpy", "pyarrow"}
AUDIENCE = {*TABLES, "pandas", "dateutil", "pytz", "email_validator"}
MORE = {
    "flows.plan_campaign": AUDIENCE,
    "flows.send_test": {*AUDIENCE, "cryptography"},
    "flows.seed_test": {*AUDIENCE, "cryptography"},
    "flows.verify_connection": {"cryptography"},
    "flows.collect_bounces": {"imap_tools", "flufl", "public"},
    "flows.import_events": AUDIENCE,
    "flows.import_suppressions": AUDIENCE,
    "flows.export_suppressions": TABLES,
    "flows.add_suppressions": AUDIENCE,
    "flows.remove_suppressions": AUDIENCE,
    "flows.compare_connections": {*AUDIENCE, "PIL"},
    "flows.housekeeping": TABLES,
}
"""By flow: what nearly each of its runs needs as well."""
COMMON = {"flows.support.operation", "mailsluice.message", "mailsluice.store"}
"""Modules of ours that every flow loads: loaded once for all of them."""
LADDER = [EVERY_FLOW - OWN | COMMON, TABLES, AUDIENCE - TABLES]
"""What may be loaded by all flows, by those that need tables, and by those with an audience."""
NOT_LOADED = {"blocks.mailbox", "mailsluice.store.upgrading", "mailsluice.audience.resolution"}
"""Our own modules that send-campaign loads later, if it needs them."""
LOADED = """
import json, os, sys
import prefect.engine, prefect.flow_engine, prefect.main, prefect.task_engine

@prefect.flow  # Prefect loads more at the first flow
def trivial(number: int = 1) -> None: ...

before = set(sys.modules)
for packages, modules in json.loads(sys.argv[1]):
    for package in packages:
        __import__(package)
    for name in modules:
        if os.fork() == 0:  # nothing is loaded but Prefect, and what this flow may load
            __import__(name)
            packages = {one.partition(".")[0] for one in set(sys.modules) - before}
            servers = {one for one in ("prefect.server", "prefect.testing") if one in sys.modules}
            others = {one for one in packages - {*sys.stdlib_module_names} if one[0] != "_"}
            found = sorted(others | servers)
            own = sorted(one for one in sys.modules if one.startswith(("blocks.", "mailsluice.")))
            os.write(1, json.dumps([name, [found, own]]).encode() + b"\\n")
            os._exit(0)
        os.wait()
"""


def modules() -> list[str]:
    """The modules of the flows that are deployed."""
    return [one.flow.fn.__module__ for one in catalogue()]


def rung(module: str) -> int:
    """How far the ladder leads to what this flow may load; packages above could hide others."""
    more = MORE.get(module, set())
    return 2 if more >= AUDIENCE else 1 if more >= TABLES else 0


@cache
def loaded() -> dict[str, list[list[str]]]:
    """What each of them loads: packages beside Prefect, and modules of our own."""
    steps = [
        (sorted(packages), [one for one in modules() if rung(one) == number])
        for number, packages in enumerate(LADDER)
    ]
    command = [sys.executable, "-c", LOADED, json.dumps(steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(line) for line in output.splitlines())


@pytest.mark.parametrize("module", modules())
def test_a_flow_loads_what_it_needs_at_its_start_and_nothing_else(module: str) -> None:
    assert {*loaded()[module][0]} - EVERY_FLOW - MORE.get(module, set()) == set()


def test_a_campaign_loads_what_few_of_its_runs_need_only_then() -> None:
    own = loaded()["flows.send_campaign"][1]
    assert "mailsluice.store.database" in own
    assert NOT_LOADED.isdisjoint(own)


@pytest.mark.parametrize("module", ["flows.collect_bounces", "flows.send_test", "flows.seed_test"])
def test_a_flow_whose_form_picks_a_mailbox_knows_its_block(module: str) -> None:
    """Prefect loads the blocks that a form refers to before the flow begins."""
    assert "blocks.mailbox" in loaded()[module][1]
