"""Write the saved results into docs/performance.md, between its markers, with plots."""

from __future__ import annotations

import re
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import (
    api_calls,
    cost,
    instructions,
    resolve,
    results,
    resume,
    send,
    start_and_end,
    throttle_figures,
)
from benchmarks.senders import MAILSLUICE, NODEMAILER, NODEMAILER_RAW, PREFECT_EMAIL, SMTP_SOURCE

PAGE = results.ROOT / "docs" / "performance.md"
PLOT = results.ROOT / "docs" / "images" / "performance-send.png"

_MARKER = re.compile(r"<!-- results: (\w+) -->")
_TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "send": send.tables,
    "resolve": resolve.tables,
    "api_calls": api_calls.tables,
    "start_and_end": start_and_end.tables,
    "resume": resume.tables,
    "cost": cost.tables,
    "instructions": instructions.tables,
    "throttles": throttle_figures.tables,
}


def fill(sections: dict[str, Any]) -> None:
    """Replace the text between the markers of each section that has results."""
    text = PAGE.read_text("utf-8")
    parts = {name: _with_machine(name, sections[name]) for name in _TABLES if name in sections}
    parts["aims"] = aims(sections)
    if unknown := {*_MARKER.findall(text)} - {*_TABLES, "aims"}:
        raise SystemExit(f"{PAGE.name} has tables that nothing writes: {', '.join(unknown)}")
    for name, part in parts.items():
        pattern = rf"(<!-- results: {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(pattern, lambda m: f"{m[1]}{part}\n{m[2]}", text, flags=re.DOTALL)  # noqa: B023 used at once
        if not found:
            raise SystemExit(f"{PAGE.name} has no markers for {name!r}: write them back")
    PAGE.write_text(text, "utf-8")


def aims(sections: dict[str, Any]) -> str:
    """Format the targets beside the measured figures."""
    rows: list[list[str]] = []
    if "send" in sections:
        points = {one["title"]: send.summary(one) for one in sections["send"]["points"]}
        rows += _send_aims(points)
        rows += [
            row
            for one in sections["send"]["points"]
            if one["sink"] == send.MIXED
            for row in _mixed_aims(one)
        ]
    if "resolve" in sections:
        rows += [row for one in sections["resolve"]["measured"] for row in _resolve_aims(one)]
    if "api_calls" in sections:
        counts = [sum(one["requests"].values()) for one in sections["api_calls"]["measured"]]
        fewest, most = min(counts), max(counts)
        said = f"{fewest} to {most}" if fewest < most else str(fewest)
        what = "API requests, whatever the recipients and the time"
        rows.append([what, "one number", said, results.met(fewest == most)])
    rows += cost.aims(sections.get("cost", {}))
    rows += start_and_end.aims(sections.get("start_and_end", {}).get("measured", {}))
    for one in sections.get("resume", {}).get("measured", ()):
        seconds = median(one["seconds"])
        what = f"first mail of a half-sent campaign of {one['recipients']:,}, {one['database']}"
        rows.append([what, "<= 5 s", f"{seconds:.2f} s", results.met(seconds <= 5)])
    if "throttles" in sections:
        rows += throttle_figures.aims(sections["throttles"])
    return results.table(["aim", "wanted", "measured", "met"], rows)


def _send_aims(points: dict[str, dict[str, Any]]) -> list[list[str]]:
    rows = []
    for where, peer, wanted in (
        ("loopback", NODEMAILER_RAW, 4.5),
        ("loopback", SMTP_SOURCE, 0.85),
        ("loopback", PREFECT_EMAIL, 200.0),
        ("loopback, newsletter of 50 kB", NODEMAILER_RAW, 2.0),
        ("50 ms", NODEMAILER, 1.9),
        ("50 ms, CHUNKING", NODEMAILER, 5.0),
    ):
        ours, theirs = (points.get(where, {}).get(name) for name in (MAILSLUICE, peer))
        if ours and theirs:
            ratio = ours["per_second"] / theirs["per_second"]
            what = f"messages/s against {peer}, {where}"
            rows.append([what, f">= {wanted:g} x", f"{ratio:.2f} x", results.met(ratio >= wanted)])
    plain, newsletter = (
        points.get(where, {}).get(MAILSLUICE)
        for where in ("loopback, 50 kB", "loopback, newsletter of 50 kB")
    )
    if plain and newsletter:
        share = newsletter["per_second"] / plain["per_second"]
        what = "messages/s of a newsletter, against ASCII of its size"
        rows.append([what, ">= 0.85 x", f"{share:.2f} x", results.met(share >= 0.85)])
    far = points.get("50 ms", {})
    if MAILSLUICE in far:
        trips = far[MAILSLUICE]["round_trips"]
        rows.append(
            ["round trips a message, 50 ms", "<= 1.08", f"{trips:.2f}", results.met(trips <= 1.08)]
        )
    return rows


def _mixed_aims(point: dict[str, Any]) -> list[list[str]]:
    """Whether each recipient of a server that does not accept everything has one final state."""
    states = [one["states"] for one in point["measured"].get(MAILSLUICE, ())]
    if not states:
        return []
    wrong = sum(one["left"] + one.get("twice", 0) for one in states)
    what = "recipients without a final state, or with two, at a server that refuses and defers"
    return [[what, "0", str(wrong), results.met(not wrong)]]


def _resolve_aims(one: dict[str, Any]) -> list[list[str]]:
    most = {1_000_000: (5.0, 400), 10_000_000: (50.0, 1_000)}.get(one["recipients"])
    if most is None or one["database"] != "SQLite":
        return []
    seconds = median(run["seconds"] for run in one["runs"])
    memory = median(run["peak_mb"] for run in one["runs"])
    what = f"{one['recipients']:,} recipients resolved, assigned, stored"
    return [
        [what, f"<= {most[0]:g} s", f"{seconds:.2f} s", results.met(seconds <= most[0])],
        [
            f"{what}: memory",
            f"<= {most[1]:,} MB",
            f"{memory:,.0f} MB",
            results.met(memory <= most[1]),
        ],
    ]


def _with_machine(name: str, section: dict[str, Any]) -> str:
    one = section["machine"]
    return (
        f"{_TABLES[name](section)}\n\n"
        f"`python -m benchmarks.{name}`, {one['at']}; {one['cores']} cores, {one['system']}, "
        f"Python {one['python']}; load before, earlier parts included: {one['load_before']}."
    )


def plot(section: dict[str, Any]) -> None:
    """Plot each sender's messages a second, near and far, as bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    titles = {one.title for one in send.HEADLINE}
    points = [one for one in section["points"] if one["title"] in titles and one["measured"]]
    figure, panels = plt.subplots(
        len(points), 1, figsize=(8, 1.2 + 2.4 * len(points)), squeeze=False
    )
    for panel, point in zip(panels[:, 0], points, strict=True):
        medians = send.summary(point)
        names = sorted(medians, key=lambda name: medians[name]["per_second"])
        values = [medians[name]["per_second"] for name in names]
        colours = ["tab:blue" if name == MAILSLUICE else "tab:gray" for name in names]
        bars = panel.barh(names, values, color=colours)
        panel.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3)
        panel.set_title(f"{point['title']}: messages/s, {point['size'] / 1000:g} kB")
        panel.margins(x=0.15)
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Write the page from the latest results."""
    sections = results.load()
    fill(sections)
    if "send" in sections:
        plot(sections["send"])
    if "throttles" in sections:
        throttle_figures.plot(sections["throttles"])
    print(f"{PAGE.relative_to(results.ROOT)} is up to date")


if __name__ == "__main__":
    main()
