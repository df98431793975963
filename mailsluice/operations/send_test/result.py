"""The result of a test, as numbers and as a page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import cell, section, table
from mailsluice.core.outcome import Attempt, Phase, Verdict, classify
from mailsluice.operations.identities import ConnectionIdentity, identity_section
from mailsluice.operations.preview import MessagePreview
from mailsluice.operations.probes.result import ProbeResult
from mailsluice.operations.verify_connection.diagnosing import diagnose
from mailsluice.smtp.session import reply_text


@dataclass(frozen=True, slots=True)
class Delivery:
    """The attempts to send copies over one connection."""

    connection: str
    attempts: Sequence[Attempt | None]
    """By address; None when the connection's limits left no room for a try."""
    moments: Sequence[float | None] = ()
    """When each attempt ended, in seconds since the epoch by this machine's clock."""
    names: Sequence[str] = ()
    """The names of the addresses on the page, in place of their numbers."""

    @property
    def accepted(self) -> int:
        """Copies that the server accepted."""
        return sum(_verdict(attempt) is Verdict.ACCEPTED for attempt in self.attempts)

    def accepted_at(self, place: int) -> float | None:
        """When the server accepted a copy, by its place; None if the server did not."""
        if _verdict(self.attempts[place]) is not Verdict.ACCEPTED:
            return None
        return self.moments[place]

    def rows(self) -> dict[tuple[str, str, str], list[str]]:
        """The numbers or names of the addresses by (result, reply, next step)."""
        by_outcome: dict[tuple[str, str, str], list[str]] = {}
        for place, attempt in enumerate(self.attempts):
            key = (_result(attempt), _reply(attempt), _next_step(attempt))
            name = self.names[place] if self.names else str(place + 1)
            by_outcome.setdefault(key, []).append(name)
        return by_outcome


@dataclass(frozen=True, slots=True)
class SendTestResult:
    """The result of a test; addresses appear as their numbers in the form."""

    campaign: str
    deliveries: Sequence[Delivery]
    identities: Sequence[ConnectionIdentity] = ()
    """The senders of the copies, by connection."""
    probes: ProbeResult | None = None
    """The copies as found in probe mailboxes; None if the test has none."""
    messages: MessagePreview | None = field(default=None, repr=False)
    """The message as it would be sent to a few recipients; None if it was not asked for."""

    @property
    def is_good(self) -> bool:
        """Whether all copies were accepted, and all for probe mailboxes are in an inbox."""
        return self.is_accepted and (self.probes is None or self.probes.is_good)

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
        return f"{text}. {self.probes.summary()}" if self.probes else text

    def markdown(self, links: Sequence[FormLink] = (), preview_line: str = "") -> str:
        """The page for operators, with links to the next forms.

        `preview_line` leads to the whole message for a few recipients.
        """
        probes = {copy.probe for copy in self.probes.copies} if self.probes else set()
        lines = [f"# Test: {cell(self.campaign)}", "", f"**{cell(self.summary())}**", ""]
        rows, next_steps = [], []
        for delivery in self.deliveries:
            for (result, reply, next_step), names in delivery.rows().items():
                name, to = cell(delivery.connection), cell(", ".join(names))
                rows.append([name, result, to, cell(reply)])
                is_read = result == _ACCEPTED and probes.issuperset(names)
                next_steps.append(f"- {name} to {to}: {cell(_READ if is_read else next_step)}")
        lines += table(["connection", "copies", "to", "reply"], rows, words=4)
        lines += section("Next steps", next_steps)
        lines += self.probes.section() if self.probes else []
        lines += [preview_line, ""] if preview_line else []
        lines += identity_section(self.identities) if self.identities else []
        lines += [
            "`to` is the number of the address in the form, or the probe mailbox. Copies have the"
            " values of one recipient, a Message-ID of their own, no List-Unsubscribe, and an"
            " unsubscribe address that leads nowhere. They count under the connections' limits; the"
            " campaign does not record them.",
            "",
            *form_section(links),
        ]
        return "\n".join(lines) + "\n"


_ACCEPTED = "accepted"
_READ = "None: the table of mailboxes says where it arrived."


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
