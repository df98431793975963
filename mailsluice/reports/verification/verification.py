"""The check of a campaign's numbers: no recipient lost, no recipient twice. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mailsluice.core.markdown import cell, section, table
from mailsluice.core.status import OPEN, UNCLAIMED, CampaignStatus, RecipientStatus
from mailsluice.reports.verification.tallies import Tallies

_KNOWN = frozenset(status.value for status in RecipientStatus)
_ACCEPTED = (RecipientStatus.SENT, RecipientStatus.UNCERTAIN, RecipientStatus.SENDING)
"""The states of recipients that may have a delivery."""
_NOT_TRIED = (
    RecipientStatus.PENDING,
    RecipientStatus.SUPPRESSED,
    RecipientStatus.CANCELLED,
)
"""The states of recipients that no connection has claimed."""
_REPORT = "stop sending this campaign until the cause is known: export it, and please report this"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Numbers that disagree."""

    what: str
    number: int
    """Rows concerned."""
    advice: str

    def __str__(self) -> str:
        return f"{self.number:,} {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of the check."""

    tallies: Tallies
    findings: tuple[Discrepancy, ...]

    @property
    def is_conserved(self) -> bool:
        """Whether all numbers agree."""
        return not self.findings

    def summary(self) -> str:
        """One line: the sum, or the discrepancies."""
        if self.findings:
            return "not conserved: " + "; ".join(map(str, self.findings))
        states = self.tallies.by_status()
        parts = " + ".join(
            f"{states[status]:,} {status.value}" for status in RecipientStatus if status in states
        )
        return f"conserved: {self.tallies.accepted:,} accepted = {parts or 'none'}{self._arrived()}"

    def _arrived(self) -> str:
        """The sum of the deliveries, if any is known."""
        if not self.tallies.deliveries:
            return ""
        totals: Counter[str] = Counter()
        for tally in self.tallies.deliveries:
            totals[tally.state] += tally.deliveries
        accepted = self.tallies.of(*_ACCEPTED)
        totals["unknown yet"] = accepted - totals.total()
        parts = " + ".join(f"{number:,} {state}" for state, number in totals.items() if number)
        return f"; by events, {accepted:,} accepted by servers = {parts}"

    def markdown(self) -> str:
        """The page for operators; it shows no addresses."""
        lines = [f"# Verification: {cell(self.tallies.campaign)}", ""]
        lines += [f"**{cell(self.summary())}**", ""]
        discrepancies = [
            [cell(finding.what), f"{finding.number:,}", cell(finding.advice)]
            for finding in self.findings
        ]
        head = ["discrepancy", "rows", "what to do"]
        lines += section("Discrepancies", table(head, discrepancies) if discrepancies else [])
        head = ["connection", "assigned", "moved away", "moved here", "now"]
        rows = [
            [cell(name) or "not claimed yet", *numbers] for name, *numbers in self._connections()
        ]
        lines += section("Connections", table(head, rows))
        if self.tallies.repeated is None:
            lines += ["This verification did not look for repeated addresses."]
        return "\n".join(lines) + "\n"

    def _connections(self) -> Iterator[list[str]]:
        """For each connection: recipients assigned, moved away, moved here, and present now."""
        now, moved = self.tallies.by_connection(), self.tallies.moved
        for name in [*self.tallies.assigned, *sorted(now.keys() - self.tallies.assigned.keys())]:
            away = sum(number for (origin, _), number in moved.items() if origin == name)
            here = sum(number for (_, target), number in moved.items() if target == name)
            numbers = (self.tallies.assigned.get(name, 0), away, here, now.get(name, 0))
            yield [name, *(f"{number:,}" for number in numbers)]


def verify(tallies: Tallies, *, at_end_of_run: bool = False) -> Verification:
    """Check a campaign's numbers against each other.

    `at_end_of_run` says that the caller holds the lease and that none of its connections is sending
    any more, so that no recipient may be `sending`.
    """
    checks = [_audience(tallies), _states(tallies), _connections(tallies), _rows(tallies)]
    checks.append(_deliveries(tallies))
    if at_end_of_run or not tallies.is_held:
        checks.append(_idle(tallies))
    return Verification(tallies, tuple(finding for check in checks for finding in check))


def _audience(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return  # the launch is under way, or was interrupted and starts again
    counted = tallies.accepted + sum(tallies.rejected.values())
    if counted != tallies.read_rows:
        yield Discrepancy(
            f"rows differ: {tallies.read_rows:,} were read, but {counted:,} accepted or rejected",
            abs(tallies.read_rows - counted),
            _REPORT,
        )
    for source in tallies.sources:
        if source.accepted != source.stored:
            yield Discrepancy(
                f"recipients differ: {source.accepted:,} were accepted from {source.source}, but"
                f" {source.stored:,} are stored",
                abs(source.accepted - source.stored),
                _REPORT,
            )
    for reason in sorted(tallies.rejected.keys() | tallies.stored_rejects.keys()):
        then, now = tallies.rejected.get(reason, 0), tallies.stored_rejects.get(reason, 0)
        if then != now:
            yield Discrepancy(
                f"rows differ: {then:,} were rejected as {reason}, but {now:,} are stored",
                abs(then - now),
                "the list of rejects was changed by hand: restore it from a backup",
            )


def _states(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return
    if tallies.stored != tallies.accepted:
        yield Discrepancy(
            f"recipients differ: {tallies.accepted:,} were accepted, but {tallies.stored:,} are "
            "stored",
            abs(tallies.accepted - tallies.stored),
            _REPORT,
        )
    unknown = sum(tally.recipients for tally in tallies.states if tally.status not in _KNOWN)
    if unknown:
        yield Discrepancy(
            "recipients are in a state that does not exist",
            unknown,
            "they were changed by hand: correct them",
        )


def _connections(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.status is CampaignStatus.RESOLVING:
        return
    if tallies.is_pooled:
        yield from _pool(tallies)
        return
    first = tallies.by_connection()
    for (origin, target), number in tallies.moved.items():
        first[target] = first.get(target, 0) - number
        first[origin] = first.get(origin, 0) + number
    for name in sorted(first.keys() | tallies.assigned.keys()):
        assigned, stored = tallies.assigned.get(name, 0), first.get(name, 0)
        if assigned != stored:
            yield Discrepancy(
                f"recipients differ on connection {name!r}: {assigned:,} were assigned, but "
                f"{stored:,} are stored there or recorded as moved",
                abs(assigned - stored),
                _REPORT,
            )


def _pool(tallies: Tallies) -> Iterator[Discrepancy]:
    """Recipients that no connection has claimed cannot have been sent to."""
    unclaimed = [tally for tally in tallies.states if tally.connection == UNCLAIMED]
    if sent := sum(tally.recipients for tally in unclaimed if tally.status not in _NOT_TRIED):
        yield Discrepancy("recipients were sent to without a connection", sent, _REPORT)
    known = {UNCLAIMED, *tallies.assigned}
    strangers = [tally for tally in tallies.states if tally.connection not in known]
    if strangers:
        names = ", ".join(sorted({tally.connection for tally in strangers}))
        yield Discrepancy(
            f"recipients are on connections without a route ({names})",
            sum(tally.recipients for tally in strangers),
            _REPORT,
        )


def _rows(tallies: Tallies) -> Iterator[Discrepancy]:
    if tallies.repeated:
        yield Discrepancy(
            "recipients have the address of another recipient", tallies.repeated, _REPORT
        )
    without_time = sum(
        tally.recipients - tally.with_next_attempt
        for tally in tallies.states
        if tally.status == RecipientStatus.DEFERRED
    )
    if without_time:
        yield Discrepancy(
            "deferred recipients have no time for a next attempt, so they are never tried again",
            without_time,
            "set their next_attempt_at, or cancel the campaign",
        )
    if tallies.unexplained_sent:
        yield Discrepancy(
            "recipients are sent without a reply code and without an attempt that explains it",
            tallies.unexplained_sent,
            "export the campaign, and look their Message-IDs up at the provider",
        )
    if tallies.stray_attempts:
        yield Discrepancy(
            "attempts (of any campaign) belong to recipients that do not exist",
            tallies.stray_attempts,
            "recipients were deleted by hand: restore them from a backup, or delete these attempts",
        )


def _deliveries(tallies: Tallies) -> Iterator[Discrepancy]:
    by_hand = "they were changed by hand: restore the table `deliveries` from a backup"
    for name in sorted({tally.connection for tally in tallies.deliveries}):
        mine = [tally for tally in tallies.deliveries if tally.connection == name]
        if strays := sum(tally.strays for tally in mine):
            yield Discrepancy(
                f"deliveries on connection {name!r} are of recipients that it has not sent to",
                strays,
                "the provider reports mail that it had refused, or that moved: compare the table"
                " `deliveries` with the provider's log",
            )
        if without_event := sum(tally.without_event for tally in mine):
            yield Discrepancy(
                f"deliveries on connection {name!r} have a state that no event has reported",
                without_event,
                by_hand,
            )
    if tallies.contradicted:
        yield Discrepancy(
            "recipients have an event that their delivery does not take into account",
            tallies.contradicted,
            by_hand,
        )


def _idle(tallies: Tallies) -> Iterator[Discrepancy]:
    """Discrepancies only while no run is sending."""
    states = tallies.by_status()
    sending = states.get(RecipientStatus.SENDING, 0)
    if sending:
        yield Discrepancy(
            "recipients are sending, but no run holds the campaign: a run died",
            sending,
            "retry that run, or start the campaign again: it determines what became of them",
        )
    waiting = sum(states.get(status, 0) for status in OPEN if status is not RecipientStatus.SENDING)
    if waiting and tallies.status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED):
        yield Discrepancy(
            f"recipients wait for a campaign that is {tallies.status.value}: no mail is sent to"
            " them",
            waiting,
            "export those pending and deferred, and start a campaign under another name for them",
        )
