"""Kill campaigns again and again, as often as you like, and judge what they leave."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.chaos.databases import database
from tests.chaos.monkey import run
from tests.chaos.plan import Plan
from tests.chaos.variants import VARIANTS

_ALL = "all"
"""The kind that means every variant, one after the other."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--faulty", type=int, default=30, help="recipients in a thousand")
    parser.add_argument("--messages-per-session", type=int, help="then the servers say 421")
    parser.add_argument("--in-flight", type=int, default=1, help="messages at once in each session")
    parser.add_argument("--processes", type=int, default=1, help="that send for each run")
    parser.add_argument("--stops", type=int, default=0, help="kills in a hundred that only suspend")
    parser.add_argument(
        "--cuts", type=int, default=0, help="kills in a hundred of the database's links"
    )
    parser.add_argument("--sessions", type=int, default=3, help="of each connection")
    parser.add_argument("--kind", choices=[*VARIANTS, _ALL], default="plain")
    given = vars(parser.parse_args())
    kinds = [*VARIANTS] if given["kind"] == _ALL else [given["kind"]]
    bad = [kind for kind in kinds if not _is_good({**given, "kind": kind})]
    sys.exit(bool(bad))


def _is_good(given: dict[str, Any]) -> bool:
    kind = given.pop("database")
    with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
        verdict = run(Plan(**given, folder=Path(folder), database_url=url))
    print(verdict, flush=True)  # noqa: T201
    return verdict.is_good


if __name__ == "__main__":
    main()
