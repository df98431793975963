"""Whether a campaign's numbers add up: nobody lost, nobody twice. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailsluice.core.markdown import cell, table
from mailsluice.core.status import OPEN, CampaignStatus, RecipientStatus
from mailsluice.operations.accounts.tallies import Tallies

_KNOWN = frozenset(one.value for one in RecipientStatus)
_REPORT = "do not send it further before that is understood: export it, and please report this"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is wrong."""

    what: str
    number: int
    """How many rows are concerned."""
    advice: str

    def __str__(self) -> str:
        return f"{self.number:,} {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a campaign found."""

    tallies: Tallies
    findings: tuple[Discrepancy, ...]

    @property
    def is_conserved(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def summary(self) -> str:
        """One line: the sum, or what is wrong with it."""
        if self.findings:
            return "not conserved: " + "; ".join(str(one) for one in self.findings)
        states = self.tallies.by_status()
        parts = " + ".join(
            f"{states[one]:,} {one.value}" for one in RecipientStatus if one in states
        )
        return f"conserved: {self.tallies.accepted:,} accepted = {parts or 'none'}"

    def markdown(self) -> str:
        """The page an operator reads; no addresses."""
        lines = [f"# {cell(self.tallies.campaign)}", "", f"**{cell(self.summary())}**", ""]
        if self.findings:
            lines += ["| what is wrong | how many | what to do |", "| --- | ---: | --- |"]
            lines += [
                f"| {cell(one.what)} | {one.number:,} | {cell(one.advice)} |"
                for one in self.findings
            ]
            lines.append("")
        head = ["connection", "assigned", "moved away", "moved here", "now"]
        lines += table(head, [[cell(name), *numbers] for name, *numbers in self._connections()])
        if self.tallies.repeated is None:
            lines += ["Repeated addresses were not looked for."]
        return "\n".join(lines) + "\n"

    def _connections(self) -> Iterator[list[str]]:
        """Of each connection: how many were assigned, went, came and are there now."""
        now, moved = self.tallies.by_connection(), self.tallies.moved
        for name in [*self.tallies.assigned, *sorted(now.keys() - self.tallies.assigned.keys())]:
            away = sum(number for (before, _), number in moved.items() if before == name)
            here = sum(number for (_, after), number in moved.items() if after == name)
            numbers = (self.tallies.assigned.get(name, 0), away, here, now.get(name, 0))
            yield [name, *(f"{number:,}" for number in numbers)]


def verify(tallies: Tallies, *, at_end_of_run: bool = False) -> Verification:
    """Check a campaign's numbers against each other.

    `at_end_of_run`: the lease is the caller's own, and none of its connections is sending any more,
    so nobody may be on his way.
    """
    is_idle = at_end_of_run or not tallies.is_held
    checks = (_audience(tallies), _states(tallies), _connections(tallies), _rows(tallies))
    idle = _idle(tallies) if is_idle else ()
    return Verification(tallies, (*(one for check in checks for one in check), *idle))


def _audience(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return  # its launch is under way, or died: it starts anew
    counted = tallies.accepted + sum(tallies.rejected.values())
    if counted != tallies.read_rows:
        yield Discrepancy(
            f"rows apart: {tallies.read_rows:,} were read, but {counted:,} accepted or rejected",
            abs(tallies.read_rows - counted),
            _REPORT,
        )
    for reason in sorted(tallies.rejected.keys() | tallies.stored_rejects.keys()):
        then, now = tallies.rejected.get(reason, 0), tallies.stored_rejects.get(reason, 0)
        if then != now:
            yield Discrepancy(
                f"rows apart: {then:,} were rejected as {reason}, but {now:,} are stored so",
                abs(then - now),
                "the list of rejects was changed by hand: restore it from a backup",
            )


def _states(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return
    if tallies.stored != tallies.accepted:
        yield Discrepancy(
            f"recipients apart: {tallies.accepted:,} were accepted, but {tallies.stored:,} are "
            "stored",
            abs(tallies.accepted - tallies.stored),
            _REPORT,
        )
    strange = sum(one.recipients for one in tallies.states if one.status not in _KNOWN)
    if strange:
        yield Discrepancy(
            "recipients are in a state that does not exist",
            strange,
            "they were changed by hand: correct them",
        )


def _connections(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return
    first = tallies.by_connection()
    for (before, now), number in tallies.moved.items():
        first[now] = first.get(now, 0) - number
        first[before] = first.get(before, 0) + number
    for name in sorted(first.keys() | tallies.assigned.keys()):
        planned, found = tallies.assigned.get(name, 0), first.get(name, 0)
        if planned != found:
            yield Discrepancy(
                f"recipients apart on connection {name!r}: {planned:,} were assigned, but "
                f"{found:,} are there or recorded as moved",
                abs(planned - found),
                _REPORT,
            )


def _rows(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.repeated:
        yield Discrepancy("recipients repeat the address of another", tallies.repeated, _REPORT)
    dueless = sum(
        one.recipients - one.with_next_attempt
        for one in tallies.states
        if one.status == RecipientStatus.DEFERRED
    )
    if dueless:
        yield Discrepancy(
            "deferred recipients have no time for a next attempt, so they are never tried again",
            dueless,
            "set their next_attempt_at, or cancel the campaign",
        )
    if tallies.unexplained_sent:
        yield Discrepancy(
            "recipients are sent without a reply's code and without history that says why",
            tallies.unexplained_sent,
            "look their Message-IDs up at the provider: export the campaign",
        )
    if tallies.stray_attempts:
        yield Discrepancy(
            "rows of the history (of any campaign) belong to nobody",
            tallies.stray_attempts,
            "recipients were deleted by hand: restore them from a backup, or delete these rows",
        )


def _idle(tallies: Tallies) -> Iterator[Discrepancy]:
    """What may be so only while a run is sending."""
    states = tallies.by_status()
    orphans = states.get(RecipientStatus.SENDING, 0)
    if orphans:
        yield Discrepancy(
            "recipients say sending, but no run holds the campaign: a run died",
            orphans,
            "retry that run, or start the campaign again: it finds out what became of them",
        )
    waiting = sum(states.get(one, 0) for one in OPEN if one is not RecipientStatus.SENDING)
    if waiting and tallies.status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED):
        yield Discrepancy(
            f"recipients wait for a campaign that is {tallies.status.value}: they never get it",
            waiting,
            "start the campaign under another name for them: export those pending and deferred",
        )
