"""Claims of recipients in the time zones whose sending window is open.

Of the open zones, the one that closes first is claimed first, so that as many recipients as
possible get their mail today. A zone is a range of ids, and for each a cursor says up to which id
no recipient is pending.

A deferred recipient that is due while its window is closed becomes pending, and so waits for the
window with the others of its zone. No moment of an opening is stored: an operator may change the
window between two runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.delivery.store_requests import ClaimRequest, Requests
from mailsluice.store import Claimed, ClaimScope, Outbox, Transaction

_MOST_PUT_BACK = 1_000
_ROUNDS = 4
_LOOK_SECONDS = 60.0

_CursorKey = tuple[str, int | None, int]
"""A connection, the provider whose recipients are claimed apart (or None), and a zone."""


@dataclass(frozen=True, slots=True)
class ZoneWait:
    """The wait of a connection for the window of its recipients' next zone."""

    seconds: float
    opening: str
    recipients: int

    def __str__(self) -> str:
        number = "1 recipient" if self.recipients == 1 else f"{self.recipients:,} recipients"
        return f"{self.opening} ({number})"


class ZoneClaims:
    """Claims within transactions. Used by the store's thread only."""

    def __init__(self, outbox: Outbox, hours: RecipientHours, *, has_peers: bool) -> None:
        """With peers, recipients that others claimed may be pending again when a window closes."""
        self._outbox = outbox
        self._hours = hours
        self._has_peers = has_peers
        self._shut: frozenset[int] = frozenset()
        self._at = 0.0
        """The moment of the claim, by the clock on the wall."""
        self._cursors: dict[_CursorKey, int] = {}
        self._found: dict[_CursorKey, int] = {}
        """The cursors once the transaction is committed."""
        self._counts: dict[tuple[_CursorKey, float], int] = {}
        self._looked_at = 0.0

    def begin(self, requests: Requests) -> None:
        """Begin a transaction, before which or in which recipients become pending again."""
        self._found.clear()
        if requests.pending_from is not None:
            lowest = requests.pending_from - 1
            self._cursors = {key: min(after, lowest) for key, after in self._cursors.items()}
        self._put_back(requests.released)

    def committed(self) -> None:
        """Note that the transaction is committed."""
        self._cursors |= self._found

    def claim(
        self, transaction: Transaction, claim: ClaimRequest, *, only_pending: bool = False
    ) -> list[Claimed]:
        """Claim recipients whose window is open, as `Outbox.claim` does."""
        self._at = self._hours.wall()
        self._follow(self._hours.at(self._at).shut)
        rows = [] if only_pending else self._claim_due(transaction, claim)
        for zone in self._hours.at(self._at).open:
            room, last_id = claim.limit - len(rows), self._hours.parts[zone].last_id
            after = self._cursor(claim, zone)
            if room and after < last_id:
                scope = claim.scope._replace(last_id=last_id)
                claimed = self._outbox.claim_pending(
                    transaction, claim.connection, room, after, scope
                )
                is_last = len(claimed) < room
                self._found[_key(claim, zone)] = last_id if is_last else claimed[-1].id
                rows += claimed
        return rows

    def _follow(self, shut: frozenset[int]) -> None:
        """Search zones that have opened or closed from their beginning, if there are peers."""
        if self._has_peers and (changed := shut ^ self._shut):
            kept = {key: after for key, after in self._cursors.items() if key[2] not in changed}
            self._cursors = kept
        self._shut = shut

    def _claim_due(self, transaction: Transaction, claim: ClaimRequest) -> list[Claimed]:
        """Claim deferred recipients that are due; those in closed zones become pending.

        Many of them are read at a time, so that they delay no others. What is claimed too many
        becomes pending as well, and is claimed with the others of its zone.
        """
        rows: list[Claimed] = []
        most, shut = claim.limit, self._hours.at(self._at).shut
        for _ in range(_ROUNDS):
            found = self._outbox.claim_due(transaction, claim.connection, most, claim.scope)
            in_open = [row for row in found if self._hours.zone_of(row.id) not in shut]
            taken = in_open[: claim.limit - len(rows)]
            rows += taken
            if len(taken) == len(found):
                break
            ids = {row.id for row in found}.difference(row.id for row in taken)
            self._outbox.release(transaction, ids)
            self._put_back(ids)
            most = _MOST_PUT_BACK
            if len(rows) == claim.limit:
                break
        return rows

    def wait(self, transaction: Transaction, claim: ClaimRequest) -> ZoneWait | None:
        """The wait for the next window, after a claim that found nothing; None: there is none."""
        for zone in self._hours.at(self._at).closed:
            key, last_id = _key(claim, zone), self._hours.parts[zone].last_id
            after, scope = self._cursor(claim, zone), claim.scope._replace(last_id=last_id)
            if after >= last_id:
                continue
            first = self._outbox.first_pending(transaction, claim.connection, after, scope)
            self._found[key] = last_id if first is None else first - 1
            if first is not None:
                opens_at = self._hours.opens_at(zone, self._at)
                count = self._counted(transaction, claim, zone, scope)
                opening = self._hours.opening(zone, self._at)
                return ZoneWait(opens_at - self._at, opening, count)
        return None

    def _counted(
        self, transaction: Transaction, claim: ClaimRequest, zone: int, scope: ClaimScope
    ) -> int:
        """Count the recipients that wait for a window, once for each time that it is closed."""
        key = _key(claim, zone), self._hours.opens_at(zone, self._at)
        if key not in self._counts:
            after = self._cursor(claim, zone)
            count = self._outbox.count_pending(transaction, claim.connection, after, scope)
            self._counts = {**self._counts, key: count}
        return self._counts[key]

    def restart(self, claim: ClaimRequest) -> bool:
        """Forget up to where a connection's recipients are claimed; False: it was forgotten."""
        keys = [_key(claim, zone) for zone in range(len(self._hours.parts))]
        known = [self._cursors.pop(key, None) for key in keys]
        found = [self._found.pop(key, None) for key in keys]
        return any(after is not None for after in [*known, *found])

    def look_again(self, claim: ClaimRequest) -> None:
        """Search from the beginning now and then: a peer may have put recipients back meanwhile."""
        if abs(self._at - self._looked_at) >= _LOOK_SECONDS:
            self._looked_at = self._at
            self.restart(claim)

    def _cursor(self, claim: ClaimRequest, zone: int) -> int:
        """Up to which id no recipient of a zone is pending, as far as is known.

        A provider that a claim leaves out has a cursor of its own from then on.
        """
        start = self._hours.parts[zone].after_id
        of_all = max(start, self._cursors.get((claim.connection, None, zone), start))
        for provider in claim.scope.without:
            self._cursors.setdefault((claim.connection, provider, zone), of_all)
        return max(start, self._cursors.get(_key(claim, zone), of_all))

    def _put_back(self, ids: Iterable[int]) -> None:
        """Note that recipients are pending again."""
        lowest: dict[int, int] = {}
        for recipient_id in ids:
            zone = self._hours.zone_of(recipient_id)
            lowest[zone] = min(recipient_id, lowest.get(zone, recipient_id))
        for cursors in (self._cursors, self._found):
            for key, after in cursors.items():
                if key[2] in lowest:
                    cursors[key] = min(after, lowest[key[2]] - 1)


def _key(claim: ClaimRequest, zone: int) -> _CursorKey:
    return claim.connection, claim.scope.only, zone
