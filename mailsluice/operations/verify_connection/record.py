"""The findings of an inspection while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.operations.verify_connection.diagnosing import diagnose
from mailsluice.operations.verify_connection.diagnosis import Diagnosis
from mailsluice.operations.verify_connection.finding import Result, Step, StepFinding
from mailsluice.smtp.session import SessionError, reply_text


@dataclass
class Note:
    """What is found in a step, to be filled in there."""

    note: str = ""
    fact: str = ""
    """What the summary says of it."""
    result: Result = Result.OK
    """Where there are no warnings."""
    warnings: list[str] = field(default_factory=list)


class Record:
    """Each step with how it ended and how long it took."""

    def __init__(self) -> None:
        self.findings: list[StepFinding] = []
        self.diagnosis: Diagnosis | None = None

    @contextmanager
    def step(self, step: Step) -> Iterator[Note]:
        """Do a step in here; a SessionError is noted as its failure, and goes on."""
        found = Note()
        begun = time.perf_counter()
        try:
            yield found
        except SessionError as error:
            seconds = time.perf_counter() - begun
            self.diagnosis = diagnose(error.attempt)
            failed, text = _failed(step, error.attempt), reply_text(error.attempt)
            self.findings.append(StepFinding(failed, Result.FAILED, text, seconds))
            raise
        seconds = time.perf_counter() - begun
        result = Result.WARNING if found.warnings else found.result
        warnings = tuple(found.warnings)
        self.findings.append(StepFinding(step, result, found.note, seconds, warnings, found.fact))

    def add(self, text: str) -> None:
        """Say more about the step that failed."""
        last = self.findings[-1]
        self.findings[-1] = replace(last, note=f"{last.note}; {text}")

    def complete(self) -> list[StepFinding]:
        """The findings, and the steps that were not reached."""
        reached = {one.step for one in self.findings}
        rest = [StepFinding(one, Result.NOT_REACHED) for one in Step if one not in reached]
        return [*self.findings, *rest]


def _failed(step: Step, attempt: Attempt) -> Step:
    """The step that failed in truth."""
    if step is Step.LINK and attempt.phase is Phase.TLS:  # ca_file, which is read before
        return Step.TLS
    if step is Step.TLS and attempt.phase is Phase.CONNECT and attempt.code:
        return Step.GREETING  # with "tls" it is read right after the handshake
    return step
