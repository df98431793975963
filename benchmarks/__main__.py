"""Run all benchmarks (`make bench`), print tables, and save .bench/results.json."""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable, Mapping

from benchmarks import (
    api_calls,
    cost,
    page,
    resolve,
    results,
    resume,
    send,
    start_and_end,
    throttles,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="a send measurement's, about")
    parser.add_argument(
        "--large", action="store_true", help="10^7 rows, 10^5 recipients, more at 50 ms"
    )
    parser.add_argument(
        "--quick", action="store_true", help="once, and only the headline's points: five minutes"
    )
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md as well")
    arguments = parser.parse_args()
    quick, large = arguments.quick, arguments.large
    repeat = 1 if quick else arguments.repeat
    failed = _run(
        {
            "resolve": lambda: resolve.run(repeat=repeat, large=large),
            "resume": lambda: resume.run(repeat=repeat),
            "api_calls": lambda: api_calls.run(large=large),
            "start_and_end": lambda: start_and_end.run(repeat=repeat),
            "cost": lambda: cost.run(repeat=repeat),
            "send": lambda: send.run(
                repeat=repeat, seconds=arguments.seconds, large=large, quick=quick
            ),
            "throttles": lambda: throttles.run(quick=quick),
        }
    )
    print(page.aims(results.load()))
    if arguments.docs:
        page.main()
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}. The errors are above")


def _run(parts: Mapping[str, Callable[[], None]]) -> list[str]:
    """Run the parts in turn; returns those that failed, whose earlier results stay."""
    failed = []
    for name, run in parts.items():
        began = time.monotonic()
        try:
            run()
        except Exception:  # noqa: BLE001 the other parts are independent of it
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s\n", flush=True)
    return failed


if __name__ == "__main__":
    main()
