"""The results of a connection check, step by step, and the page about them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.markdown import cell, section, table
from mailsluice.operations.domain_check.finding import DomainCheck
from mailsluice.operations.verify_connection.diagnosis import Diagnosis


class Step(StrEnum):
    """The steps of a check, in order; with security "tls", TLS comes before the greeting."""

    NAME = "host name"
    LINK = "link"
    GREETING = "greeting"
    TLS = "TLS"
    LOGIN = "login"
    OFFER = "offer"
    MAIL = "test mail"


class Result(StrEnum):
    """How a step ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    LEFT_OUT = "not asked for"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class StepFinding:
    """The result of one step, without e-mail addresses and passwords."""

    step: Step
    result: Result
    note: str = ""
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    fact: str = ""
    """The step's part of the summary."""

    def line(self) -> str:
        """The step as a log line."""
        took = "" if self.seconds is None else f" ({_shown(self.seconds)})"
        note = f": {self.note}" if self.note else ""
        return f"{self.step}: {self.result}{took}{note}"


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """The result of a connection check."""

    connection: str
    server: str
    """Host, port and security."""
    findings: Sequence[StepFinding]
    consequences: Sequence[str] = ()
    """How Mailsluice uses the server's extensions."""
    diagnosis: Diagnosis | None = None
    """The name of the fault; None where the connection works."""
    has_slot: bool = True
    """Whether the session counted among the connection's `max_sessions`."""
    host_remarks: Sequence[str] = ()
    """How the connection shares the sessions of its host with others."""
    domain: DomainCheck | None = None
    """The DNS records of the sender's domain, as checked."""

    @property
    def works(self) -> bool:
        return self.diagnosis is None

    @property
    def warnings(self) -> list[str]:
        of_steps = [warning for finding in self.findings for warning in finding.warnings]
        return [*of_steps, *(self.domain.warnings if self.domain else [])]

    def summary(self) -> str:
        """The result in one sentence; with the next step where the connection does not work."""
        if self.diagnosis is not None:
            (failed,) = (known for known in self.findings if known.result is Result.FAILED)
            return (
                f"{self.connection} does not work: {self.diagnosis} ({failed.note})."
                f" Next step: {self.diagnosis.next_step}"
            )
        count = len(self.warnings)
        counted = f"{count or 'no'} warning{'' if count == 1 else 's'}"
        facts = [finding.fact for finding in self.findings if finding.fact]
        return f"{self.connection} works: {', '.join([*facts, counted])}"

    def lines(self) -> list[str]:
        """The result as log lines."""
        steps = [finding.line() for finding in self.findings]
        warnings = [f"warning: {warning}" for warning in self.warnings]
        return [*steps, *(self.domain.lines() if self.domain else []), *warnings, *self.remarks()]

    def remarks(self) -> list[str]:
        """How Mailsluice uses the connection."""
        extra = "No session was free: this check opened one more than max_sessions allows."
        return [*self.consequences, *self.host_remarks, *([] if self.has_slot else [extra])]

    def markdown(self) -> str:
        """The page about the check."""
        rows = [
            [finding.step, f"**{finding.result}**", _shown(finding.seconds), cell(finding.note)]
            for finding in self.findings
        ]
        title = f"# {self.connection} {'works' if self.diagnosis is None else 'does not work'}"
        lines = [title, "", self.server, ""]
        if self.diagnosis is not None:
            name = self.diagnosis[0].upper() + self.diagnosis[1:]
            lines += section("Next step", [f"**{name}.** {self.diagnosis.next_step}"])
        lines += section("Warnings", [f"- {cell(warning)}" for warning in self.warnings])
        lines += section(
            "Steps", table(("step", "result", "time", "note"), rows, words=len(rows[0]))
        )
        lines += section("Sender's domain", self.domain.page_lines() if self.domain else [])
        lines += section("Use by Mailsluice", [f"- {remark}" for remark in self.remarks()])
        return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
