"""What an inspection finds, step by step, and the page about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.markdown import cell, section, table
from mailsluice.operations.verify_connection.diagnosis import Diagnosis


class Step(StrEnum):
    """What is checked, in this order; with security "tls", TLS comes before the greeting."""

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
    """What one step found. No addresses of mail, no password."""

    step: Step
    result: Result
    note: str = ""
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    fact: str = ""
    """What the summary says of it."""

    def line(self) -> str:
        """For a log."""
        took = "" if self.seconds is None else f" ({_shown(self.seconds)})"
        note = f": {self.note}" if self.note else ""
        return f"{self.step}: {self.result}{took}{note}"


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """All that was found about a connection."""

    connection: str
    server: str
    """Host, port and security."""
    findings: Sequence[StepFinding]
    consequences: Sequence[str] = ()
    """What Mailsluice makes of what the server offers."""
    diagnosis: Diagnosis | None = None
    """What is wrong, where something is."""

    has_slot: bool = True
    """Whether the session counted among the connection's `max_sessions`."""

    @property
    def works(self) -> bool:
        return self.diagnosis is None

    @property
    def warnings(self) -> list[str]:
        return [said for one in self.findings for said in one.warnings]

    def summary(self) -> str:
        """One sentence; where it does not work, with the next step."""
        if self.diagnosis is not None:
            (failed,) = (one for one in self.findings if one.result is Result.FAILED)
            return (
                f"{self.connection} does not work: {self.diagnosis} ({failed.note})."
                f" Next step: {self.diagnosis.next_step}"
            )
        number = len(self.warnings)
        counted = f"{number or 'no'} warning{'' if number == 1 else 's'}"
        facts = [one.fact for one in self.findings if one.fact]
        return f"{self.connection} works: {', '.join([*facts, counted])}"

    def lines(self) -> list[str]:
        """For a log."""
        said = [one.line() for one in self.findings]
        return [*said, *(f"warning: {one}" for one in self.warnings), *self.remarks()]

    def remarks(self) -> list[str]:
        """What Mailsluice makes of it."""
        beside = "No session was free: this one was opened beside the campaigns' own."
        return [*self.consequences, *([] if self.has_slot else [beside])]

    def markdown(self) -> str:
        """The page."""
        rows = [
            [one.step, f"**{one.result}**", _shown(one.seconds), cell(one.note)]
            for one in self.findings
        ]
        title = f"# {self.connection} {'works' if self.diagnosis is None else 'does not work'}"
        lines = [title, "", self.server, ""]
        if self.diagnosis is not None:
            name = self.diagnosis[0].upper() + self.diagnosis[1:]
            wrong = f"**{name}.** {self.diagnosis.next_step}"
            lines += section("Next step", [wrong])
        lines += section("Warnings", [f"- {cell(one)}" for one in self.warnings])
        lines += section(
            "Steps", table(("step", "result", "how long", "note"), rows, words=len(rows[0]))
        )
        lines += section("What Mailsluice makes of it", [f"- {one}" for one in self.remarks()])
        return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
