"""Measure what several sources, and affinity, add to a launch.

Each launch in a process of its own; those of a database follow each other in it, so that affinity
has something to remember. Of repeated ones the least processor time counts: all else is noise.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import document, results
from benchmarks.databases import KINDS, database
from benchmarks.processes import module, run_json
from benchmarks.resolve import launched

CASES: dict[str, dict[str, Any]] = {
    "one file": {},
    "three files": {"files": 3},
    "affinity, the first campaign": {"affinity": "recipient"},
    "affinity, the next campaign": {"affinity": "recipient"},
    "affinity, a tenth moves": {"affinity": "recipient", "shares": (60, 40)},
}
"""The parameters of each launch beyond one file and two connections."""


def measure(case: str, recipients: int, name: str, url: str) -> dict[str, float]:
    """Launch once, in this process."""
    from mailsluice.campaign import Campaign

    extra: dict[str, Any] = dict(CASES[case])
    shares, files = extra.pop("shares", (50, 50)), extra.pop("files", 1)
    names = ["smtp-a", "smtp-b"]
    fields = document.campaign(name, recipients, 2_000, names) | extra
    fields["strategy"] = "percentage"
    parts = zip(names, shares, strict=True)
    fields["routes"] = [{"connection": one, "percent": share} for one, share in parts]
    if files > 1:
        fields["recipients"] = [{"path": str(path)} for path in split(recipients, files)]
    return launched(Campaign(**fields), url)


def split(recipients: int, files: int) -> list[Path]:
    """The file of these recipients in several files, written once."""
    whole = document.recipients_file(recipients)
    paths = [whole.with_name(f"{whole.stem}-{part}-of-{files}.csv") for part in range(files)]
    with whole.open(encoding="utf-8") as file:
        head = file.readline()
        for path in paths:
            with path.open("w", encoding="utf-8") as part:
                part.write(head)
                part.writelines(islice(file, -(-recipients // files)))
    return paths


def tables(section: dict[str, Any]) -> str:
    """Format the least processor time of each case as a markdown table."""
    rows = []
    for one in section["measured"]:
        least = {name: min(run[name] for run in one["runs"]) for name in one["runs"][0]}
        rows.append(
            [
                f"{one['database']}, {one['case']}",
                f"{least['processor_seconds']:.2f} + {least['server_seconds']:.2f} s",
                f"{least['peak_mb']:,.0f} MB",
            ]
        )
    return results.table(["launch", "processor: client + server", "memory"], rows)


def run(*, recipients: int = 1_000_000, repeat: int = 3) -> None:
    """Measure, print and save."""
    before = results.machine()
    split(recipients, 3)
    measured: dict[tuple[str, str], list[Any]] = {}
    for number in range(repeat):
        for kind in KINDS:
            with database(kind) as url:
                for case in CASES:
                    name = f"{case} {number}"
                    options = ("--child", url, "--case", case, "--name", name)
                    child = module("benchmarks.launches", *options, "--recipients", recipients)
                    measured.setdefault((kind, case), []).append(run_json(child))
    rows = [
        {"recipients": recipients, "database": kind, "case": case, "runs": runs}
        for (kind, case), runs in measured.items()
    ]
    print(f"{tables({'measured': rows})}\n", flush=True)
    results.save("launches", before, measured=rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launches", description=__doc__)
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    for name in ("--child", "--case", "--name"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        done = measure(arguments.case, arguments.recipients, arguments.name, arguments.child)
        print(json.dumps(done))
    else:
        run(recipients=arguments.recipients, repeat=arguments.repeat)
