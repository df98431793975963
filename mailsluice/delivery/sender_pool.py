"""The senders of a campaign, as the campaign's run sees them in the state database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mailsluice.campaign import UncertainPolicy
from mailsluice.delivery.run import RouteResult
from mailsluice.delivery.silence import Silence
from mailsluice.delivery.standing import figures_in, loaded
from mailsluice.delivery.take_over import take_over
from mailsluice.reports.progress import Binding, Cause, Standing, Tally
from mailsluice.stop_loss import Figures, Unit
from mailsluice.store import Database, Ending, SenderRecord, Senders


class SenderPool:
    """Reads the records of a campaign's senders, and takes over from dead ones. Blocking."""

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
        self._figures_before: dict[int, dict[Unit, Figures]] = {}

    def begin(self) -> None:
        """Count what the senders do from now on."""
        self._after_id = self._senders.last_id()
        living = self._senders.living()
        self._before = {sender.id: _tally(sender) for sender in living}
        self._figures_before = {sender.id: _figures(sender) for sender in living}

    def take_over(self) -> int:
        """Settle the recipients that dead senders had claimed. Returns how many were dead."""
        return take_over(
            self._database,
            self._campaign_id,
            self._journals,
            self._policy,
            silence=self._silence,
        )

    def records(self) -> list[SenderRecord]:
        """The senders that live, and those that have come since `begin`."""
        return self._senders.all(self._after_id)

    def standings(self, records: Sequence[SenderRecord]) -> dict[str, Standing]:
        """The progress of each connection's senders since `begin`, and what they wait for."""
        return {
            name: Standing(
                name,
                sum(map(self._since, senders), Tally()),
                _binding(senders),
                _waiting(senders),
                sum(known.sessions for known in _present(senders)),
                sum(known.in_flight for known in _present(senders)),
            )
            for name, senders in _by_connection(records).items()
        }

    def figures(self, records: Sequence[SenderRecord]) -> dict[Unit, Figures]:
        """Count the replies to the senders since `begin`, by mailbox provider."""
        totals: dict[Unit, Figures] = {}
        for record in records:
            before = self._figures_before.get(record.id, {})
            for unit, now in _figures(record).items():
                since = now - before.get(unit, Figures())
                totals[unit] = totals.get(unit, Figures()) + since
        return totals

    def results(self, records: Sequence[SenderRecord]) -> dict[str, RouteResult]:
        """How each connection ended over which no sender works any more."""
        return {
            name: self._result(name, senders)
            for name, senders in _by_connection(records).items()
            if all(sender.ended_at for sender in senders)
        }

    def _result(self, name: str, senders: Sequence[SenderRecord]) -> RouteResult:
        ends = [sender.ended_at for sender in senders if sender.ended_at]
        seconds = max(ends) - min(sender.started_at for sender in senders)
        sent = sum(self._since(sender).sent for sender in senders)
        last = max(senders, key=lambda sender: sender.ended_at or 0.0)
        return RouteResult(name, seconds, sent, last.detail if _is_down(last) else None)

    def _since(self, record: SenderRecord) -> Tally:
        before, now = self._before.get(record.id, Tally()), _tally(record)
        return replace(
            now,
            assigned=now.assigned - before.assigned,
            sent=now.sent - before.sent,
            failed=now.failed - before.failed,
            uncertain=now.uncertain - before.uncertain,
        )


def _by_connection(records: Iterable[SenderRecord]) -> dict[str, list[SenderRecord]]:
    senders: dict[str, list[SenderRecord]] = defaultdict(list)
    for record in records:
        senders[record.connection].append(record)
    return senders


def _tally(record: SenderRecord) -> Tally:
    return loaded(record.standing).tally if record.standing else Tally()


def _figures(record: SenderRecord) -> dict[Unit, Figures]:
    return figures_in(record.standing) if record.standing else {}


def _binding(senders: Sequence[SenderRecord]) -> Binding:
    """The delay of the least delayed sender, or of the last sender if none is alive."""
    living = [sender for sender in senders if not sender.ended_at]
    if not living and _is_down(last := senders[-1]):
        return Binding(Cause.QUARANTINED, last.detail or "")
    known = [
        loaded(sender.standing).binding for sender in living or senders[-1:] if sender.standing
    ]
    free = (binding for binding in known if binding.cause is Cause.FREE)
    return next(free, known[0] if known else Binding(Cause.STARTING))


def _waiting(senders: Sequence[SenderRecord]) -> tuple[int, ...]:
    """The mailbox providers whose mail waits at all senders that live."""
    living = [
        set(loaded(sender.standing).waiting)
        for sender in senders
        if sender.standing and not sender.ended_at
    ]
    return tuple(sorted(set.intersection(*living))) if living else ()


def _present(senders: Sequence[SenderRecord]) -> list[Standing]:
    """The standings of the senders that live."""
    return [loaded(one.standing) for one in senders if one.standing and not one.ended_at]


def _is_down(record: SenderRecord) -> bool:
    return record.ending is Ending.DOWN
