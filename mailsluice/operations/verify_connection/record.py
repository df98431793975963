"""Record the result of each step of a connection check."""

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
    """A step's result, which the step fills in."""

    text: str = ""
    fact: str = ""
    """The step's part of the summary."""
    result: Result = Result.OK
    """The result if there are no warnings."""
    warnings: list[str] = field(default_factory=list)


class Record:
    """The results of the steps so far, with the time that each took."""

    def __init__(self) -> None:
        self.findings: list[StepFinding] = []
        self.diagnosis: Diagnosis | None = None

    @contextmanager
    def step(self, step: Step) -> Iterator[Note]:
        """Time and record a step; a SessionError is recorded as its failure, and raised again."""
        note = Note()
        begun = time.perf_counter()
        try:
            yield note
        except SessionError as error:
            seconds = time.perf_counter() - begun
            self.diagnosis = diagnose(error.attempt)
            failed, text = _failed(step, error.attempt), reply_text(error.attempt)
            self.findings.append(StepFinding(failed, Result.FAILED, text, seconds))
            raise
        seconds = time.perf_counter() - begun
        result = Result.WARNING if note.warnings else note.result
        warnings = tuple(note.warnings)
        self.findings.append(StepFinding(step, result, note.text, seconds, warnings, note.fact))

    def add(self, text: str) -> None:
        """Add text to the step that failed."""
        last = self.findings[-1]
        self.findings[-1] = replace(last, note=f"{last.note}; {text}")

    def complete(self) -> list[StepFinding]:
        """The results of all steps, including those that were not reached."""
        reached = {finding.step for finding in self.findings}
        rest = [StepFinding(step, Result.NOT_REACHED) for step in Step if step not in reached]
        return [*self.findings, *rest]


def _failed(step: Step, attempt: Attempt) -> Step:
    """The step to which a failure belongs."""
    if step is Step.LINK and attempt.phase is Phase.TLS:  # ca_file, which is read first
        return Step.TLS
    if step is Step.TLS and attempt.phase is Phase.CONNECT and attempt.code:
        return Step.GREETING  # with "tls" the greeting is read right after the handshake
    return step
