"""Decide about recipients that were `sending` when a run died. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.outcome import Attempt, Phase, Verdict, classify
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.decision import AFTER_UNCERTAIN
from mailsluice.delivery.journal import JournalContents
from mailsluice.store import History, InDoubt, Outbox, Settled, Transaction

_STATUS = {
    Verdict.ACCEPTED: RecipientStatus.SENT,
    Verdict.FAILED: RecipientStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Recovery:
    """Decisions about recipients in doubt."""

    settled: list[Settled] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    """Recipients whose message cannot have reached a server: pending again."""

    def __bool__(self) -> bool:
        return bool(self.settled or self.released)

    def __str__(self) -> str:
        known = len(self.settled) - self.uncertain
        return (
            f"{len(self.released)} messages had not been sent, the replies to {known} are known,"
            f" {self.uncertain} are uncertain"
        )

    @property
    def uncertain(self) -> int:
        """How many recipients stay in doubt."""
        return sum(outcome.status is RecipientStatus.UNCERTAIN for outcome in self.settled)

    def write(self, outbox: Outbox, transaction: Transaction) -> None:
        """Carry out the decisions."""
        outbox.settle(transaction, self.settled)
        outbox.release(transaction, self.released)


def recover(
    in_doubt: Mapping[int, InDoubt], evidence: JournalContents | None, policy: UncertainPolicy
) -> Recovery:
    """Decide about each recipient in doubt, by id.

    The journal's evidence tells claimed from sent. Without it every recipient may have got the
    message.
    """
    recovery = Recovery()
    for recipient_id, row in in_doubt.items():
        if evidence is not None and recipient_id not in evidence.replies:
            recovery.released.append(recipient_id)
            continue
        code = evidence.replies[recipient_id] if evidence else None
        verdict = classify(Attempt(Phase.BODY, code, "")).verdict
        text = "the run died after this reply" if code else "the run died before the reply was read"
        if verdict is Verdict.UNCERTAIN:
            status = AFTER_UNCERTAIN[policy]
        else:
            status = _STATUS.get(verdict, RecipientStatus.DEFERRED)
        recovery.settled.append(
            Settled(
                recipient_id,
                status,
                row.attempts + 1,
                code,
                text,
                delay_seconds=0.0 if status is RecipientStatus.DEFERRED else None,
                history=None
                if verdict is Verdict.ACCEPTED
                else History(row.connection, Phase.BODY, verdict),
            )
        )
    return recovery
