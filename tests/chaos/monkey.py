"""The monkey: it runs campaigns, kills them, and runs them again."""

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

from tests.chaos.cuts import cut
from tests.chaos.invariants import check_affinities, check_invariants
from tests.chaos.plan import Plan
from tests.chaos.servers import Progress, servers
from tests.chaos.verdict import Verdict, judge
from tests.chaos.worker import NO_DATABASE, UNFINISHED, work
from tests.children import children

_BLIND = 0.25  # of the kills: after a random time, wherever the process is then
_BLIND_SECONDS = 0.6
_POLL_SECONDS = 0.005
_WHOLE = 0.5  # of the kills: the run itself, and not one of the processes that it has started
_ENDS = (0, UNFINISHED, NO_DATABASE, -signal.SIGKILL, -signal.SIGTERM)


def run(plan: Plan) -> Verdict:
    """Kill the campaigns `plan.kills` times in all, let them finish, and judge the result."""
    monkey = _Monkey(plan, Random(plan.seed))
    with servers(plan) as ports:
        monkey.play(ports)
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
        self._runs: dict[int, ForkServerProcess] = {}
        """The run of each campaign that is not done."""

    def play(self, ports: Mapping[str, int]) -> None:
        """Start runs, and end them, until all campaigns are done."""
        left = set(self.plan.campaigns)
        try:
            while left:
                for number in left - self._runs.keys():
                    self._start(number, ports)
                self._wait()
                self._strike()
                left -= self._ended()
            check_affinities(self.plan)
        finally:
            for process in self._runs.values():
                process.kill()

    def _start(self, number: int, ports: Mapping[str, int]) -> None:
        most = 3 * self.plan.kills + 10 * len(self.plan.campaigns)
        assert self.lives < most, "it makes no progress"
        process = self._context.Process(target=work, args=(self.plan, number, dict(ports)))
        process.start()
        self._runs[number] = process
        self.lives += 1

    def _strike(self) -> None:
        """Kill or stop a run that lives, or one of its processes."""
        living = [process for process in self._runs.values() if process.is_alive()]
        if not living or self.kills >= self.plan.kills:
            return
        if self.chance.random() * 100 < self.plan.cuts:
            cut(self.plan.database_url)
            self.kills += 1
            return
        process = self.chance.choice(living)
        assert process.pid is not None
        victim, sign = process.pid, signal.SIGKILL
        if self.plan.processes > 1 and self.chance.random() >= _WHOLE:
            victim = self.chance.choice(children(process.pid) or [process.pid])
        if self.chance.random() * 100 < self.plan.stops:
            sign = signal.SIGTERM
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(victim, sign)
            self.kills += 1
        if victim == process.pid:
            process.join()

    def _ended(self) -> set[int]:
        """Check what runs that have ended leave behind; returns the campaigns that are done."""
        done = set()
        for number, process in [*self._runs.items()]:
            if not process.is_alive():
                process.join()
                assert process.exitcode in _ENDS, process.exitcode
                check_invariants(self.plan, number, has_ended=process.exitcode in (0, UNFINISHED))
                del self._runs[number]
                if process.exitcode == 0:
                    done.add(number)
        return done

    def _wait(self) -> None:
        """Wait until a run is to be killed, or has ended."""
        left = self.plan.kills - self.kills
        is_blind = self.chance.random() < _BLIND
        seconds = self.chance.uniform(0, _BLIND_SECONDS) if left and is_blind else math.inf
        done = self._progress()
        share = (self.plan.recipients - done) / (left + 2)
        # A fast machine sends much before a blind kill, which comes when a share is sent at the
        # latest, so that something is left for the kills to come.
        target = done + (share if is_blind else self.chance.uniform(0, share)) if left else math.inf
        ends_at = time.monotonic() + seconds
        while (
            all(process.is_alive() for process in self._runs.values())
            and time.monotonic() < ends_at
            and self._progress() <= target
        ):
            time.sleep(_POLL_SECONDS)
