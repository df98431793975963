"""The results of a domain check, and how pages and logs show them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.core.markdown import cell, table
from mailsluice.core.masking import masked

_LONGEST = 120


class Topic(StrEnum):
    """The subjects of a domain check, in the order of the page."""

    SPF = "SPF"
    DKIM = "DKIM"
    DMARC = "DMARC"
    MAIL_SERVERS = "mail servers"
    REVERSE_DNS = "reverse DNS"


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """The result of one topic."""

    topic: Topic
    note: str
    warnings: tuple[str, ...] = ()
    """The problems, each with its solution."""
    is_known: bool = True
    """Whether DNS answered."""
    records: tuple[str, ...] = ()
    """Long records to publish, of our own making."""

    @property
    def result(self) -> str:
        if not self.is_known:
            return "not checked"
        return "warning" if self.warnings else "ok"


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """The DNS records of one connection's sender domain, as checked."""

    connection: str
    domain: str
    """The sender's domain; empty if no sender is known."""
    findings: Sequence[TopicFinding] = ()
    remark: str = ""
    """Why nothing was checked; empty if something was."""

    is_unknown: bool = False
    """Whether no name server answered."""

    @property
    def warnings(self) -> list[str]:
        return [warning for finding in self.findings for warning in finding.warnings]

    def lines(self) -> list[str]:
        """The results as log lines, without the warnings."""
        if not self.findings:
            return [f"sender's domain: {self.remark}"] if self.remark else []
        results = [
            f"{finding.topic} of {self.domain}: {finding.result}: {finding.note}"
            for finding in self.findings
        ]
        return [*results, *(f"publish {record}" for record in self._records)]

    @property
    def _records(self) -> list[str]:
        return [record for finding in self.findings for record in finding.records]

    def page_lines(self) -> list[str]:
        """The lines of the page's section."""
        if not self.findings:
            return [f"{self.remark}."] if self.remark else []
        rows = [
            [finding.topic, f"**{finding.result}**", cell(finding.note)]
            for finding in self.findings
        ]
        about = f"What DNS says about {cell(self.domain)}, as this machine sees it:"
        lines = [about, "", *table(("topic", "result", "note"), rows, words=3)]
        if self._records:  # as code, since a key is too long for a line
            lines += ["To publish:", "", "```", *self._records, "```"]
        return lines


def shared_warnings(checks: Sequence[DomainCheck]) -> Iterator[str]:
    """Return the warnings of several connections, each once, with the connections it is about."""
    about: dict[str, list[str]] = {}
    for check in checks:
        for warning in check.warnings:
            about.setdefault(warning, []).append(check.connection)
    for warning, connections in about.items():
        yield f"{', '.join(connections)}: {warning}"


def excerpt(text: str) -> str:
    """Return the beginning of a text from DNS: printable ASCII on one line, without addresses."""
    cut = text[: 2 * _LONGEST].encode("ascii", "backslashreplace").decode()
    plain = " ".join("".join(one if one.isprintable() else " " for one in cut).split())
    shown = masked(plain)
    return shown if len(shown) <= _LONGEST and len(text) <= len(cut) else f"{shown[:_LONGEST]}..."
