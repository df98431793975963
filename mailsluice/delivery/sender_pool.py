"""The senders of a campaign, as its run sees them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mailsluice.campaign import UncertainPolicy
from mailsluice.delivery.run import RouteResult
from mailsluice.delivery.silence import Silence
from mailsluice.delivery.standing import loaded
from mailsluice.delivery.take_over import take_over
from mailsluice.reports.progress import Binding, Cause, Standing, Tally
from mailsluice.store import Database, Ending, SenderRecord, Senders


class SenderPool:
    """Looks at what they say in the state database. Blocking."""

    def __init__(
        self, database: Database, campaign_id: int, journals: Path, policy: UncertainPolicy
    ) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._journals = journals
        self._policy = policy
        self._senders = Senders(database, campaign_id)
        self._silence = Silence()
        self._after_id = 0
        self._before: dict[int, Tally] = {}

    def begin(self) -> None:
        """What they do is counted from here on."""
        self._after_id = self._senders.last_id()
        self._before = {one.id: _tally(one) for one in self._senders.living()}

    def take_over(self) -> int:
        """Settle what dead ones had claimed. Returns how many were dead."""
        return take_over(
            self._database,
            self._campaign_id,
            self._journals,
            self._policy,
            silence=self._silence,
        )

    def records(self) -> list[SenderRecord]:
        """Those that live, and those that have come since `begin`."""
        return self._senders.all(self._after_id)

    def standings(self, records: Sequence[SenderRecord]) -> dict[str, Standing]:
        """By connection: what its senders have done since `begin`, and what it waits for."""
        return {
            name: Standing(name, sum(map(self._since, these), Tally()), _binding(these))
            for name, these in _by_connection(records).items()
        }

    def results(self, records: Sequence[SenderRecord]) -> dict[str, RouteResult]:
        """By connection, of those where no sender lives: how it ended."""
        return {
            name: self._result(name, these)
            for name, these in _by_connection(records).items()
            if all(one.ended_at for one in these)
        }

    def _result(self, name: str, records: Sequence[SenderRecord]) -> RouteResult:
        ends = [one.ended_at for one in records if one.ended_at]
        seconds = max(ends) - min(one.started_at for one in records)
        sent = sum(self._since(one).sent for one in records)
        last = max(records, key=lambda one: one.ended_at or 0.0)
        return RouteResult(name, seconds, sent, last.detail if _is_down(last) else None)

    def _since(self, record: SenderRecord) -> Tally:
        before, now = self._before.get(record.id, Tally()), _tally(record)
        return replace(
            now,
            sent=now.sent - before.sent,
            failed=now.failed - before.failed,
            uncertain=now.uncertain - before.uncertain,
        )


def _by_connection(records: Iterable[SenderRecord]) -> dict[str, list[SenderRecord]]:
    found: dict[str, list[SenderRecord]] = defaultdict(list)
    for one in records:
        found[one.connection].append(one)
    return found


def _tally(record: SenderRecord) -> Tally:
    return loaded(record.standing).tally if record.standing else Tally()


def _binding(records: Sequence[SenderRecord]) -> Binding:
    """That of the one that is held up least; of the last one where none lives."""
    living = [one for one in records if not one.ended_at]
    if not living and _is_down(last := records[-1]):
        return Binding(Cause.QUARANTINED, last.detail or "")
    told = [loaded(one.standing).binding for one in living or records[-1:] if one.standing]
    free = (one for one in told if one.cause is Cause.FREE)
    return next(free, told[0] if told else Binding(Cause.STARTING))


def _is_down(record: SenderRecord) -> bool:
    return record.ending is Ending.DOWN
