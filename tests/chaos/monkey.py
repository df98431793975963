"""Runs the campaign, kills it, runs it again."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from random import Random

from tests.chaos.plan import Plan
from tests.chaos.servers import Progress, servers
from tests.chaos.verdict import Verdict, check_conservation, judge
from tests.chaos.worker import UNFINISHED, work
from tests.children import children

_BLIND = 0.25  # of the kills: after a random time, wherever the process is then
_BLIND_SECONDS = 0.6
_POLL_SECONDS = 0.005
_WHOLE = 0.5  # of the kills: the run itself, and not one of the processes that it has started


def run(plan: Plan) -> Verdict:
    """Kill it plan.kills times, then let it finish."""
    monkey = _Monkey(plan, Random(plan.seed))
    with servers(plan) as ports:
        while not monkey.live(ports):
            check_conservation(plan)
    return judge(plan, monkey.kills, monkey.lives)


@dataclass
class _Monkey:
    plan: Plan
    chance: Random
    kills: int = 0
    lives: int = 0
    _context: multiprocessing.context.ForkServerContext = field(
        default_factory=lambda: multiprocessing.get_context("forkserver")
    )

    def __post_init__(self) -> None:
        self._context.set_forkserver_preload(["tests.chaos.worker"])
        self._progress = Progress(self.plan)

    def live(self, ports: Mapping[str, int]) -> bool:
        """One run; tells whether the campaign is done."""
        assert self.lives < 3 * self.plan.kills + 10, "it makes no progress"
        process = self._context.Process(target=work, args=(self.plan, dict(ports)))
        process.start()
        self.lives += 1
        try:
            self._wait(process)
            while self._kills_a_part_of(process):
                self._wait(process)
            if process.is_alive() and self.kills < self.plan.kills:
                process.kill()
                self.kills += 1
            process.join()
        finally:
            process.kill()
        assert process.exitcode in (0, UNFINISHED, -9), process.exitcode
        return process.exitcode == 0

    def _kills_a_part_of(self, process: ForkServerProcess) -> bool:
        """Kill one of the processes that a living run has started, at half of the chances."""
        if self.plan.processes == 1 or self.kills >= self.plan.kills or not process.is_alive():
            return False
        parts = children(process.pid or 0)
        if not parts or self.chance.random() < _WHOLE:
            return False
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(self.chance.choice(parts), signal.SIGKILL)
            self.kills += 1
        return True

    def _wait(self, process: ForkServerProcess) -> None:
        """Until it is to die."""
        left = self.plan.kills - self.kills
        if not left:
            return
        is_blind = self.chance.random() < _BLIND
        seconds = self.chance.uniform(0, _BLIND_SECONDS) if is_blind else math.inf
        done = self._progress()
        share = (self.plan.recipients - done) / (left + 2)
        # A fast machine sends much in a blind life: it ends by its share at the latest, so that
        # something is left for the kills to come.
        target = done + (share if is_blind else self.chance.uniform(0, share))
        ends_at = time.monotonic() + seconds
        while process.is_alive() and time.monotonic() < ends_at and self._progress() <= target:
            time.sleep(_POLL_SECONDS)
