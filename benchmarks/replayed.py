"""A bounded part of a campaign, sent or stored without other threads. A child of `instructions`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import uvloop

from benchmarks import cost, engine_alone
from mailsluice.campaign import Provider

_SESSIONS = 20
ENGINE, WITH_FIELDS, STORE = "engine", "engine-with-fields", "store"
WITH_LIMITS = "engine-with-provider-limits"
_LIMITED = ("google", "yahoo", "microsoft-business")


def main() -> None:
    """Run the part for so many messages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replayed", description=__doc__)
    parser.add_argument("part", choices=(ENGINE, WITH_FIELDS, WITH_LIMITS, STORE))
    parser.add_argument("messages", type=int)
    parser.add_argument("ports", type=int, nargs="*")
    given = parser.parse_args()
    if given.part == STORE:
        cost.store_steps(given.messages, "SQLite")
        return
    provider = Provider.SENDGRID if given.part == WITH_FIELDS else Provider.NONE
    limited = _LIMITED if given.part == WITH_LIMITS else ()
    with tempfile.TemporaryDirectory() as folder:
        sending = engine_alone.send(
            given.messages, given.ports, _SESSIONS, Path(folder), provider, limited
        )
        uvloop.run(sending)


if __name__ == "__main__":
    main()
