"""The results: one JSON file with a section for each benchmark, and the machine that it ran on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench"
RESULTS = FOLDER / "results.json"


def machine() -> dict[str, Any]:
    """The machine's cores, versions and load, without which a figure means nothing."""
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def load() -> dict[str, Any]:
    """All sections so far: {benchmark: {"machine": ..., ...}}."""
    return dict(json.loads(RESULTS.read_text("utf-8"))) if RESULTS.exists() else {}


def save(section: str, before: dict[str, Any], **values: Any) -> None:
    """Replace a section; `before` is the result of `machine` before the benchmark."""
    FOLDER.mkdir(exist_ok=True)
    sections = {**load(), section: {"machine": before, **values}}
    RESULTS.write_text(json.dumps(sections, indent=2) + "\n", "utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format an aligned markdown table; all columns but the first are numbers."""
    lines = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [padded[0], rule, *padded[1:]])


def met(is_met: bool) -> str:
    """The last cell of a target's row."""
    return "yes" if is_met else "no"
