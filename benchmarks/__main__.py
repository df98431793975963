"""Run all benchmarks (`make bench`), print tables, and save .bench/results.json."""

from __future__ import annotations

import argparse

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
    resolve.run(repeat=repeat, large=large)
    resume.run(repeat=repeat)
    api_calls.run(large=large)
    start_and_end.run(repeat=repeat)
    cost.run(repeat=repeat)
    send.run(repeat=repeat, seconds=arguments.seconds, large=large, quick=quick)
    throttles.run(quick=quick)
    print(page.aims(results.load()))
    if arguments.docs:
        page.main()


if __name__ == "__main__":
    main()
