"""The result of a test, as numbers and as a page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import cell, table
from mailsluice.core.outcome import Attempt, Phase, Verdict, classify
from mailsluice.operations.identities import ConnectionIdentity, identity_section
from mailsluice.operations.verify_connection.diagnosing import diagnose
from mailsluice.smtp.session import reply_text


@dataclass(frozen=True, slots=True)
class Delivery:
    """The attempts to send copies over one connection."""

    connection: str
    attempts: Sequence[Attempt | None]
    """By address; None when the connection's limits left no room for a try."""

    @property
    def accepted(self) -> int:
        """Copies that the server accepted."""
        return sum(_verdict(attempt) is Verdict.ACCEPTED for attempt in self.attempts)

    def rows(self) -> dict[tuple[str, str, str], list[int]]:
        """The numbers of the addresses by (result, reply, next step)."""
        by_outcome: dict[tuple[str, str, str], list[int]] = {}
        for number, attempt in enumerate(self.attempts, 1):
            key = (_result(attempt), _reply(attempt), _next_step(attempt))
            by_outcome.setdefault(key, []).append(number)
        return by_outcome


@dataclass(frozen=True, slots=True)
class SendTestResult:
    """The result of a test; addresses appear as their numbers in the form."""

    campaign: str
    deliveries: Sequence[Delivery]
    identities: Sequence[ConnectionIdentity] = ()
    """Who the copies were from, by connection."""

    @property
    def is_accepted(self) -> bool:
        """Whether all copies were accepted over all connections."""
        return all(delivery.accepted == len(delivery.attempts) for delivery in self.deliveries)

    def summary(self) -> str:
        """One line: the number of accepted copies, and what was wrong with which connection."""
        total = sum(len(delivery.attempts) for delivery in self.deliveries)
        accepted = sum(delivery.accepted for delivery in self.deliveries)
        text = f"{accepted} of {total} copies accepted"
        for delivery in self.deliveries:
            for result, reply, _ in delivery.rows():
                if result != _ACCEPTED:
                    text += f"; {delivery.connection}: {reply or result}"
        return text

    def markdown(self, links: Sequence[FormLink] = ()) -> str:
        """The page for operators, with links to the next forms."""
        lines = [f"# Test: {cell(self.campaign)}", "", f"**{cell(self.summary())}**", ""]
        rows = [
            [
                cell(delivery.connection),
                result,
                ", ".join(map(str, numbers)),
                cell(reply),
                cell(next_step),
            ]
            for delivery in self.deliveries
            for (result, reply, next_step), numbers in delivery.rows().items()
        ]
        lines += table(["connection", "copies", "to", "reply", "next step"], rows, words=5)
        lines += identity_section(self.identities) if self.identities else []
        lines += [
            "`to` is the number of the address in the form. Copies have the values of one"
            " recipient, a Message-ID of their own, no List-Unsubscribe, and an unsubscribe"
            " address that leads nowhere. They count under the connections' limits; the campaign"
            " does not record them.",
            "",
            *form_section(links),
        ]
        return "\n".join(lines) + "\n"


_ACCEPTED = "accepted"


def _verdict(attempt: Attempt | None) -> Verdict | None:
    return classify(attempt).verdict if attempt else None


def _result(attempt: Attempt | None) -> str:
    verdict = _verdict(attempt)
    if verdict is None:
        return "not sent: no room"
    if verdict is Verdict.ACCEPTED:
        return _ACCEPTED
    if verdict is Verdict.UNCERTAIN:
        return "uncertain"
    return "refused" if attempt and attempt.code else "not sent"


def _reply(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    reply = reply_text(attempt)
    return reply if attempt.phase is Phase.BODY else f"{attempt.phase.value}: {reply}"


def _next_step(attempt: Attempt | None) -> str:
    if attempt is None:
        return (
            "The connection's limits or sessions are used up, perhaps by a campaign: try again"
            " later."
        )
    if _verdict(attempt) is Verdict.ACCEPTED:
        return "Read it in the mailbox; if it is missing, look in the spam folder."
    return diagnose(attempt).next_step
