"""Writes a message log from what the state database knows.

The log's place moves in one transaction, after the lines are safe in the output. A process that is
killed in between writes these lines again, with the same ids: each fact is written at least once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mailsluice.core.status import RecipientStatus
from mailsluice.core.steady import steady
from mailsluice.operations.message_log.lines import Line, Output
from mailsluice.operations.message_log.records import Records
from mailsluice.operations.message_log.sweep import Sweep
from mailsluice.store import Database, Transaction
from mailsluice.store.message_log import (
    Cursors,
    LoggedAttempt,
    LoggedCampaign,
    LoggedCampaigns,
    LoggedEvent,
    LoggedOutcome,
    LoggedRecipient,
    LoggedReport,
    LogState,
    MessageLogs,
    Outcomes,
    Span,
    Spans,
    event_bound,
    read_attempts,
    read_events,
    read_reports,
    serial_bound,
)
from mailsluice.store.schema import attempts, bounces

GoesOn = Callable[[], bool]
_Row = TypeVar("_Row", LoggedAttempt, LoggedReport, LoggedEvent)


@dataclass
class Looked:
    """The result of one look."""

    written: Counter[str] = field(default_factory=Counter)
    """Lines by type."""
    archived: list[str] = field(default_factory=list)
    """Campaigns that were archived before all of their outcomes were in the log."""
    is_waiting: bool = False
    """Whether transactions are open that may add rows before the log's place."""

    def summary(self) -> str:
        """Say how many lines were written."""
        total = sum(self.written.values())
        parts = ", ".join(f"{number:,} {kind}" for kind, number in self.written.most_common())
        text = f"{total:,} {'line' if total == 1 else 'lines'} written"
        if parts:
            text += f": {parts}"
        if self.is_waiting:
            text += ". A transaction is open that may add more: the next run writes it"
        return ". ".join([text, *map(self.gap, self.archived)])

    @staticmethod
    def gap(campaign: str) -> str:
        """Say that some outcomes of a campaign are in its archive alone."""
        return (
            f"campaign {campaign!r} was archived before all of its outcomes were in the log: they"
            " are in the archive's files"
        )

    def __iadd__(self, more: Looked) -> Looked:
        self.written += more.written
        self.archived += more.archived
        self.is_waiting = more.is_waiting
        return self


@dataclass
class _Followed:
    """A campaign with recipients whose outcome is not in the log."""

    campaign: LoggedCampaign
    outcomes: Outcomes
    spans: dict[int, Span]
    sweep: Sweep


class Follower:
    """Reads the database, and writes lines to an output. Blocking."""

    def __init__(
        self,
        database: Database,
        state: LogState,
        output: Output,
        records: Records,
        *,
        clock: Callable[[], float] = steady,
    ) -> None:
        self._database = database
        self._logs = MessageLogs(database)
        self._state = state
        self._output = output
        self._records = records
        self._clock = clock
        self._campaigns = LoggedCampaigns(database)
        self._spans = Spans(database, state.name)
        self._attempts = serial_bound(database, attempts)
        self._reports = serial_bound(database, bounces)
        self._events = event_bound(database)
        self._followed: dict[int, _Followed] = {}

    def look(self, goes_on: GoesOn = lambda: True) -> Looked:
        """Write everything that is new. `goes_on` is asked between two transactions."""
        looked = Looked()
        for part in (self._look_at_rows, self._look_at_campaigns):
            for lines in part(looked):
                looked.written.update(line.type for line in lines)
                if not goes_on():
                    return looked
        return looked

    def _look_at_rows(self, looked: Looked) -> Iterator[list[Line]]:
        """Write attempts, reports and events; yield the lines of each transaction."""
        for read, bound in (
            (self._read_attempts, self._attempts),
            (self._read_reports, self._reports),
            (self._read_events, self._events),
        ):
            limit = bound.advance()
            looked.is_waiting |= bound.is_waiting
            while limit is not None:
                lines, cursors = read(limit)
                if cursors == self._state.cursors:
                    break
                self._commit(lines, cursors)
                yield lines

    def _read_attempts(self, bound: float) -> tuple[list[Line], Cursors]:
        rows, place = read_attempts(self._database, self._state.cursors.attempts, bound)
        wanted = [row for row in rows if row.at >= self._state.since]
        lines = [
            self._records.of_attempt(row, self._campaign_of(to), to)
            for row, to in self._with_recipients(wanted)
        ]
        return lines, replace(self._state.cursors, attempts=place)

    def _read_reports(self, bound: float) -> tuple[list[Line], Cursors]:
        rows, place = read_reports(self._database, self._state.cursors.reports, bound)
        wanted = [row for row in rows if row.at >= self._state.since]
        lines = [
            self._records.of_report(
                row, self._campaigns.get(row.campaign_id) if row.campaign_id else None, to
            )
            for row, to in self._with_recipients(wanted)
        ]
        return lines, replace(self._state.cursors, reports=place)

    def _read_events(self, bound: float) -> tuple[list[Line], Cursors]:
        rows, place = read_events(self._database, self._state.cursors.events, bound)
        wanted = [row for row in rows if row.received_at >= self._state.since]
        lines = [
            self._records.of_event(row, self._campaign_of(to), to)
            for row, to in self._with_recipients(wanted)
        ]
        return lines, replace(self._state.cursors, events=place)

    def _with_recipients(self, rows: Sequence[_Row]) -> list[tuple[_Row, LoggedRecipient | None]]:
        """Look the recipients of rows up, all at once."""
        known = self._campaigns.recipients({row.recipient_id for row in rows if row.recipient_id})
        return [(row, known.get(row.recipient_id or 0)) for row in rows]

    def _campaign_of(self, to: LoggedRecipient | None) -> LoggedCampaign | None:
        return self._campaigns.get(to.campaign_id) if to else None

    def _commit(
        self,
        lines: list[Line],
        cursors: Cursors,
        more: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        """Write lines, and then move the log's place."""
        if lines:
            self._output.write(lines)
        self._state = self._logs.save(self._state, cursors, more)

    def _look_at_campaigns(self, looked: Looked) -> Iterator[list[Line]]:
        """Write outcomes of recipients; yield the lines of each transaction."""
        campaigns = self._campaigns.open(self._state.name, self._state.since)
        ids = {campaign.id for campaign in campaigns}
        self._followed = {key: kept for key, kept in self._followed.items() if key in ids}
        for campaign in campaigns:
            if campaign.is_archived:
                self._close(campaign.id)
                looked.archived.append(campaign.name)
                continue
            followed = self._begin(campaign)
            now = self._clock()
            for numbers in followed.sweep.due(now):
                yield self._look_at_spans(followed, numbers)
            if not followed.spans:
                self._close(campaign.id)

    def _begin(self, campaign: LoggedCampaign) -> _Followed:
        followed = self._followed.get(campaign.id)
        if followed is None:
            spans = self._spans.begin(campaign.id)
            outcomes = Outcomes(self._database, campaign.id)
            sweep = Sweep(spans, self._clock())
            known = self._campaigns.get(campaign.id) or campaign
            followed = self._followed[campaign.id] = _Followed(known, outcomes, spans, sweep)
        followed.campaign = replace(followed.campaign, ended_at=campaign.ended_at)
        return followed

    def _close(self, campaign_id: int) -> None:
        self._commit([], self._state.cursors, lambda to: self._spans.close(to, campaign_id))
        self._followed.pop(campaign_id, None)

    def _look_at_spans(self, followed: _Followed, numbers: range) -> list[Line]:
        """Write the new outcomes of these spans, in one transaction."""
        found = {span.number: span for span in followed.outcomes.count(numbers[0], numbers[-1])}
        lines: list[Line] = []
        changed: dict[int, Span] = {}
        complete: set[int] = set()
        for number in numbers:
            span, counted = followed.spans[number], found.get(number)
            everybody, final = (counted.all, counted.final) if counted else (0, 0)
            if final > span.count:
                rows = followed.outcomes.read(span, final - span.count)
                lines += self._lines_of(followed.campaign, rows)
                span = changed[number] = span.with_ids(row.id for row in rows)
            if everybody == final <= span.count:
                changed[number] = span
                complete.add(number)
        if changed:

            def save(transaction: Transaction) -> None:
                self._spans.save(transaction, followed.campaign.id, changed.values(), complete)

            self._commit(lines, self._state.cursors, save)
        self._note(followed, numbers, changed, complete)
        return lines

    def _note(
        self,
        followed: _Followed,
        numbers: range,
        changed: dict[int, Span],
        complete: Collection[int],
    ) -> None:
        now = self._clock()
        followed.spans.update(changed)
        for number in numbers:
            followed.sweep.looked(number, now, has_news=number in changed)
            if number in complete:
                followed.sweep.complete(number)
                del followed.spans[number]

    def _lines_of(
        self, campaign: LoggedCampaign, outcomes: Collection[LoggedOutcome]
    ) -> Iterator[Line]:
        """Yield the lines of outcomes that are not older than the log."""
        now = time.time()
        for outcome in outcomes:
            is_cancelled = outcome.status is RecipientStatus.CANCELLED
            at = campaign.ended_at if is_cancelled else outcome.settled_at
            if at is None or at >= self._state.since:
                line = self._records.of_outcome(outcome, campaign, now)
                if line:
                    yield line
