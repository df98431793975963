"""The results of throttles as numbers, tables and a plot: each limit beside the arrivals.

Use is messages / (limit x time) from the first message to the last; at both connections together
until the first of them has nothing left, after a kill from the first message of the new run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import results, windows
from benchmarks.throttle_points import ALL, FASTEST, Bound, Point
from benchmarks.throttled import RESERVE

PLOT = results.ROOT / "docs" / "images" / "throttles-70-30.png"

_WANTED_USE, _WANTED_CPU = 0.98, 0.01
_UNITS = {1.0: "a second", 60.0: "a minute", 3_600.0: "an hour", 86_400.0: "a day"}
_GROUPS = {
    "near": "loopback",
    "killed": "a killed campaign, gone on with",
    "far": "50 ms away",
    "slow": "slow limits",
    "real": "real campaigns",
}

Times = Mapping[str, Sequence[float]]
"""The arrival times of messages, by connection, in order."""


def judged(point: Point, times: Times, since: float = 0.0) -> list[dict[str, Any]]:
    """Compare each limit of a point with the arrivals."""
    return [_judged(bound, times, since) for bound in point.bounds]


def _judged(bound: Bound, times: Times, since: float) -> dict[str, Any]:
    mine = list(times.values()) if bound.where == ALL else [times[bound.where]]
    together = sorted(at for some in mine for at in some)
    last = min(some[-1] for some in mine)
    counting = [at for at in together if since <= at <= last]
    return {
        "where": bound.where,
        "limit": bound.count,
        "window_seconds": bound.window_seconds,
        "most": windows.most(together, bound.window_seconds),
        "use": windows.use(counting, bound.count, bound.window_seconds) if bound.binds else None,
    }


def tables(section: dict[str, Any]) -> str:
    """Format two markdown tables."""
    rows = []
    for one in section["measured"]:
        what = ", ".join(filter(None, (one["title"], one["database"])))
        if one["group"] == "real":
            what += " (real)"
        for bound in one["bounds"]:
            limit = f"{bound['limit']:,} {_UNITS[bound['window_seconds']]}"
            use = "" if bound["use"] is None else f"{bound['use']:.1%}"
            rows.append([what, bound["where"], limit, f"{bound['most']:,}", use])
            what = ""
    head = ["campaign", "at", "limit", "most in a window", "use"]
    return f"{results.table(head, rows)}\n\n{_cost_table(section)}"


def _cost_table(section: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['title']}, {one['database']}",
            f"{told['calls_per_second']:.1f}",
            *(f"{told[name]:.2%}" for name in ("cpu", "wall", "cpu_of_threads")),
        ]
        for one in section["measured"]
        if one["is_fastest"]
        for told in one["reserve"]
    ]
    head = [
        f"time in `{RESERVE}`",
        "calls a second",
        "processor",
        "wall",
        "processor, of both threads'",
    ]
    return results.table(head, rows)


def aims(section: dict[str, Any]) -> list[list[str]]:
    """The rows of the table of targets."""
    out = []
    bounds = [(one["group"], bound) for one in section["measured"] for bound in one["bounds"]]
    over = sum(bound["most"] > bound["limit"] for _, bound in bounds)
    what = f"throttles: windows over their limit, {len(bounds)} limits"
    out.append([what, "0", str(over), results.met(over == 0)])
    for group, name in _GROUPS.items():
        uses = [bound["use"] for of, bound in bounds if of == group and bound["use"] is not None]
        if uses:
            least = min(uses)
            what = f"throttles: lowest use of a limit, {name}"
            out.append([what, ">= 98 %", f"{least:.1%}", results.met(least >= _WANTED_USE)])
    costs = [
        told["cpu"] for one in section["measured"] if one["is_fastest"] for told in one["reserve"]
    ]
    if costs:
        what = f"throttles: processor time of their memory, {FASTEST:,} a second"
        out.append([what, "< 1 %", f"{max(costs):.1%}", results.met(max(costs) < _WANTED_CPU)])
    return out


def plot(section: dict[str, Any]) -> None:
    """Plot planned and received messages, second by second, of the recorded campaign."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    (one,) = (one for one in section["measured"] if one["per_second"])
    figure, panel = plt.subplots(figsize=(8, 4))
    for bound in one["bounds"]:
        pace = bound["limit"] / bound["window_seconds"]
        panel.axhline(pace, color="tab:gray", linewidth=1, linestyle="--")
        panel.annotate(f"planned {pace:g}/s", (0, pace), (0, 4), textcoords="offset points")
        if bound["where"] in one["per_second"]:
            received = one["per_second"][bound["where"]]
        else:
            received = [sum(pair) for pair in zip(*one["per_second"].values(), strict=False)]
        whole = received[:-1]  # the last second is not a whole one
        panel.plot(range(len(whole)), whole, drawstyle="steps-post", label=bound["where"])
    panel.set_title(f"{one['title']}: received in each second, by the servers' clock")
    panel.set(xlabel="seconds since the first message", ylabel="messages", ylim=(0, None))
    panel.legend(loc="lower right", ncols=3)
    panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=110, metadata={"Software": None})
    plt.close(figure)
