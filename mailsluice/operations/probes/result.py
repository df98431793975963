"""The copies in probe mailboxes, by connection and mailbox, with the next steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailsluice.core.markdown import cell, section, table
from mailsluice.core.masking import masked
from mailsluice.operations.probes.advice import next_steps
from mailsluice.operations.probes.authentication import NONE, Verdict
from mailsluice.operations.probes.delivered import Delivered, Placement

_LONGEST = 60  # characters of a text from a mailbox
_HEAD = ["connection", "probe", "arrived in", "after", "SPF", "DKIM", "DMARC", "TLS"]
_NOTE = (
    "`after` is the time from the connection's 250 to the topmost Received field of the mail, or to"
    " IMAP's INTERNALDATE where marked with *: it compares the clocks of two machines. Verdicts are"
    " those that the mailbox's own host wrote into Authentication-Results; `-` where it wrote none."
    " TLS is that of the link on which the mailbox's host took the mail. Which tab of Gmail a mail"
    " is in cannot be read by IMAP: Promotions is part of the inbox."
)


@dataclass(frozen=True, slots=True)
class Probed:
    """One copy for a probe mailbox."""

    connection: str
    probe: str
    """The name of the mailbox's block."""
    provider: str
    """The mailbox provider, as reports call it; empty if unknown."""
    accepted_at: float | None
    """When the connection's server accepted the copy, in seconds since the epoch; None if it did
    not."""
    delivered: Delivered | None
    """None if no folder of the mailbox had the copy when the wait ended."""
    trouble: str = ""
    """Why the mailbox could not be read at the end; empty if it could."""

    @property
    def placement(self) -> Placement | None:
        """Where the copy ended; None if nothing is known, as it was not sent or not looked for."""
        if self.delivered:
            return self.delivered.placement
        return None if self.accepted_at is None or self.trouble else Placement.MISSING

    @property
    def delay_seconds(self) -> float | None:
        """Seconds until the mailbox had the copy, at least 0."""
        if self.delivered is None or self.accepted_at is None:
            return None
        return max(0.0, self.delivered.at - self.accepted_at)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The copies of a test in all probe mailboxes."""

    copies: Sequence[Probed]
    waited_minutes: float

    @property
    def is_good(self) -> bool:
        """Whether each mailbox has each copy in its inbox."""
        return all(copy.placement is Placement.INBOX for copy in self.copies)

    def summary(self) -> str:
        """One line: the copies in the inbox, and how many are elsewhere by connection."""
        inbox = sum(copy.placement is Placement.INBOX for copy in self.copies)
        text = f"{inbox} of {len(self.copies)} copies in the inbox"
        elsewhere: dict[tuple[str, str], list[str]] = {}
        for copy in self.copies:
            if copy.placement is not Placement.INBOX:
                elsewhere.setdefault((copy.connection, _placed(copy)), []).append(copy.probe)
        for (connection, where), probes in elsewhere.items():
            text += f"; {connection}: {where} at {', '.join(probes)}"
        return text

    def section(self) -> list[str]:
        """The lines of the page's section."""
        rows = [_row(copy) for copy in self.copies]
        steps = [f"- {cell(masked(step))}" for step in self.next_steps()]
        lines = [*table(_HEAD, rows, words=len(_HEAD)), _NOTE, "", *self._arc()]
        return [
            *section("Probe mailboxes", lines),
            *section("Next steps for probe mailboxes", steps),
        ]

    def _arc(self) -> list[str]:
        """The lines about ARC, which only mail has that others forwarded."""
        words = [
            f"{copy.connection} to {copy.probe}: {arc.result}"
            for copy in self.copies
            if copy.delivered and (arc := copy.delivered.verdicts.arc) and arc.result != NONE
        ]
        return [f"ARC: {cell(masked(', '.join(words)))}.", ""] if words else []

    def next_steps(self) -> list[str]:
        """The next step for each failure, once for all copies that have it."""
        concerned: dict[str, list[str]] = {}
        for copy in self.copies:
            for step in _steps(copy, self.waited_minutes):
                concerned.setdefault(step, []).append(f"{copy.connection} to {copy.probe}")
        return [f"{', '.join(copies)}: {step}" for step, copies in concerned.items()]


def _steps(copy: Probed, waited_minutes: float) -> Iterator[str]:
    if copy.trouble:
        yield f"The mailbox could not be read any more: {copy.trouble}"
    elif copy.placement:
        yield from next_steps(copy.placement, copy.delivered, copy.provider, waited_minutes)


def _placed(copy: Probed) -> str:
    if copy.placement:
        return copy.placement.value
    return "not accepted" if copy.accepted_at is None else "not known"


def _row(copy: Probed) -> list[str]:
    delivered = copy.delivered
    where = _placed(copy)
    if delivered and delivered.placement is not Placement.INBOX:
        where += f" ({_short(delivered.folder)})"
    if delivered and delivered.spam_score:
        where += f", score {delivered.spam_score}"
    verdicts = delivered.verdicts if delivered else None
    given = (verdicts.spf, verdicts.dkim, verdicts.dmarc) if verdicts else [None] * 3
    probe = f"{copy.probe} ({copy.provider})" if copy.provider else copy.probe
    texts = [
        *(copy.connection, probe, where, _delay(copy)),
        *map(_verdict, given),
        (delivered.tls if delivered else "") or "-",
    ]
    return [cell(masked(text)) for text in texts]


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return "-"
    domain = f" {_short(verdict.domain)}" if verdict.domain else ""
    return f"{verdict.result}{domain}" + (
        ", not aligned" if verdict.domain and not verdict.is_aligned else ""
    )


def _delay(copy: Probed) -> str:
    if copy.delay_seconds is None or copy.delivered is None:
        return "-"
    mark = "" if copy.delivered.is_by_received else "*"
    return f"{seconds_text(copy.delay_seconds)}{mark}"


def seconds_text(seconds: float) -> str:
    """A delay for people, no more exact than the clocks."""
    if seconds < 2:
        return "under 2 s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
